"""``tidegate materialize``."""

from jobs.cli.pass_on import pass_on
from jobs.materialize import main

app = pass_on(main)
