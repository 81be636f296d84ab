"""``tidegate release``."""

from jobs.cli.pass_on import pass_on
from jobs.release.__main__ import main

app = pass_on(main)
