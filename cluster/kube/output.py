"""Lines that a person reads while a verb runs; with ``--json`` they go to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable

Say = Callable[[str], None]


def to_stdout(text: str) -> None:
    """Prints a line at once, also through a pipe (a CI job's log)."""
    print(text, flush=True)


def to_stderr(text: str) -> None:
    """Prints a line beside a document on stdout."""
    print(text, file=sys.stderr)
