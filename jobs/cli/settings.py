"""``tidegate settings``."""

from app.settings import main
from jobs.cli.pass_on import pass_on

app = pass_on(main)
