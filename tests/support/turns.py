"""Turns of whatever starts a Ray cluster of its own: one at a time on a machine, whichever test process asks.

Two clusters that start at once on two cores take so long that each runs into its limits. The session's stack holds
the turn while it starts, a test file with a cluster of its own (fixture ``cluster_turn``) until its end.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = Path(tempfile.gettempdir()) / f"tidegate-tests-{os.getuid()}.lock"


@contextmanager
def turn(lock: Path = LOCK) -> Iterator[None]:
    """Blocks until no other process has the turn, and holds it for the block. The kernel ends a dead process's turn.

    Not reentrant: a second turn within the first would wait for itself.
    """
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # for children too that have inherited the open file
