"""``tidegate versions``: the command ``tidegate versions``, for ``ray job submit``."""

import sys

from jobs.cli import main

sys.exit(main(["versions", *sys.argv[1:]]))
