"""The program that :mod:`app.training.dryrun.held` starts."""

import sys
import warnings
from pathlib import Path

from app.training.dryrun.held import answer

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    answer(Path(sys.argv[1]), Path(sys.argv[2]))
