"""The wall clock, in the unit of every instant that is stored or sent."""

from __future__ import annotations

import time


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000
