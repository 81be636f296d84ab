"""``tidegate events``."""

from app.events.__main__ import main
from jobs.cli.pass_on import pass_on

app = pass_on(main)
