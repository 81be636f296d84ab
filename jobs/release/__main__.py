"""``tidegate release``: the command ``tidegate release``, for ``ray job submit``."""

import sys

from jobs.cli import main

sys.exit(main(["release", *sys.argv[1:]]))
