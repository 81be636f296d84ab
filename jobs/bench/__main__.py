"""``python -m jobs.bench``: the command ``tidegate bench``."""

import sys

from jobs.cli import main

sys.exit(main(["bench", *sys.argv[1:]]))
