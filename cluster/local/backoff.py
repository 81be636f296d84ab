"""The wait before a process that died starts again."""

from __future__ import annotations

from collections.abc import Sequence

WINDOW_S = 60.0
DELAYS_S = (0.0, 0.5, 1.0, 2.0)
"""Waits before the first, second ... restart within a window; after the last one the process has failed."""


def restart_delay(deaths: Sequence[float], now: float) -> float | None:
    """Returns the seconds to wait before the next start, or ``None`` to give up.

    ``deaths`` are the times of all deaths so far, the newest included, seconds on the clock of ``now``.
    """
    recent = sum(now - death <= WINDOW_S for death in deaths)
    return DELAYS_S[recent - 1] if recent <= len(DELAYS_S) else None
