"""``python -m jobs.run``: the command ``tidegate demo``, as ``make run`` calls it."""

import sys

from jobs.cli import main

sys.exit(main(["demo", *sys.argv[1:]]))
