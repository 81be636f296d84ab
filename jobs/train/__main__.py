"""``python -m jobs.train``: the command ``tidegate train``, for ``ray job submit``."""

import sys

from jobs.cli import main

sys.exit(main(["train", *sys.argv[1:]]))
