"""How much traffic the main job makes, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Requests per second, seconds at each share, and training workers."""

    rate: float
    share_seconds: float
    workers: int
