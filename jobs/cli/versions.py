"""``tidegate versions``."""

from jobs.cli.pass_on import pass_on
from jobs.versions import main

app = pass_on(main)
