"""``python -m jobs.materialize``: the command ``tidegate materialize``, for ``ray job submit``."""

import sys

from jobs.cli import main

sys.exit(main(["materialize", *sys.argv[1:]]))
