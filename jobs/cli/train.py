"""``tidegate train``."""

from jobs.cli.pass_on import pass_on
from jobs.train import main

app = pass_on(main)
