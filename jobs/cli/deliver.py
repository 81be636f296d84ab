"""``tidegate deliver``."""

from jobs.cli.pass_on import pass_on
from jobs.deliver import main

app = pass_on(main)
