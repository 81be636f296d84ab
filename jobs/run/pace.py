"""How much traffic the main job makes, and how long it stays at a share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Requests per second, least seconds at a share whose gate is time, and training workers."""

    rate: float
    share_seconds: float
    workers: int
