"""``tidegate serve``."""

from jobs.cli.local import _main
from jobs.cli.pass_on import pass_on

app = pass_on(lambda arguments: _main(["up", "--foreground", *arguments]))
