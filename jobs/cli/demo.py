"""``tidegate demo``."""

from jobs.cli.pass_on import pass_on
from jobs.run.__main__ import main

app = pass_on(main)
