"""``python -m jobs.cli``: the command ``tidegate`` where it is not installed."""

import sys

from jobs.cli import main

sys.exit(main())
