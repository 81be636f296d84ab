"""A clock that a test moves, and a loss_buffer by it."""

from __future__ import annotations

from app.monitoring.samples import LossBuffer

START = 1_760_000_000


class Clock:
    """Seconds since the epoch."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


def loss_buffer(clock: Clock, held_ticks: int = 60) -> LossBuffer:
    return LossBuffer(held_ticks, clock)
