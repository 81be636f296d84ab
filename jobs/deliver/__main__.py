"""``python -m jobs.deliver``: the command ``tidegate deliver``, for ``ray job submit``."""

import sys

from jobs.cli import main

sys.exit(main(["deliver", *sys.argv[1:]]))
