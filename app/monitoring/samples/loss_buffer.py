"""Losses of one process, summed up by release and tick. Nothing here waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from app.monitoring.sums import Arm, Metric, Sample, Sums


@dataclass(slots=True)
class _Second:
    """The sums of one release in one second. ``changes`` counts the additions, ``sent`` those that Redis has."""

    sums: dict[tuple[Metric, Arm], list[float]] = field(default_factory=dict)
    changes: int = 0
    sent: int = 0


class DueSums(NamedTuple):
    """Sums that are to be sent.

    Attributes:
        changes: how many additions they are made of.
    """

    release: str
    tick: int
    changes: int
    sums: dict[Metric, dict[Arm, Sums]]


class LossBuffer:
    """Sums by release and tick, a whole second since the epoch. All callers are on one event loop.

    A tick that is over never comes back, since what it held may have been judged: a wall clock that is set back
    stands still here until it has caught up.

    Args:
        held_ticks: ticks of all releases that are held while they cannot be sent; then the oldest is dropped.
        clock: seconds since the epoch.
    """

    def __init__(self, held_ticks: int, clock: Callable[[], float] = time.time) -> None:
        self._held_ticks = held_ticks
        self._clock = clock
        self._seconds: dict[tuple[str, int], _Second] = {}
        self._tick = 0
        self.added = 0
        self.dropped = 0
        """Additions that went with a dropped tick and that Redis does not have."""

    def add(self, release: str, samples: Sequence[Sample]) -> None:
        """Adds the losses of one request, or of a pair, to the present tick.

        Raises:
            ValueError: a loss is outside 0 to 1.
        """
        for metric, _, loss in samples:
            if not 0.0 <= loss <= 1.0:
                raise ValueError(f"loss {loss!r} of {metric}: accepted is a number from 0 to 1")
        second = self._seconds.get((release, self._running())) or self._new_second(release)
        second.changes += 1
        self.added += 1
        for metric, arm, loss in samples:
            sums = second.sums.get((metric, arm))
            if sums is None:
                sums = second.sums[metric, arm] = [0, 0.0, 0.0]
            sums[0] += 1
            sums[1] += loss
            sums[2] += loss * loss

    def due(self, everything: bool = False) -> list[DueSums]:
        """The sums that have changed since they were last sent, oldest first: of every tick but the present second's,
        which will change again.

        Args:
            everything: of that one, too.
        """
        now = int(self._clock())
        waits = now if self._running() == now else None  # a clock that was set back may not reach its tick for long
        return [
            DueSums(release, tick, second.changes, _sums(second))
            for (release, tick), second in self._seconds.items()
            if second.changes > second.sent and (everything or tick != waits)
        ]

    def sent(self, due: DueSums) -> None:
        """Marks sums as stored in Redis, or refused there for good."""
        second = self._seconds.get((due.release, due.tick))
        if second is not None:
            second.sent = due.changes

    def forget(self) -> None:
        """Forgets the ticks that are over and sent."""
        running = self._running()
        over = [key for key, second in self._seconds.items() if key[1] < running and second.sent == second.changes]
        for key in over:
            del self._seconds[key]

    def unsent(self) -> int:
        """The number of additions that Redis does not have."""
        return sum(second.changes - second.sent for second in self._seconds.values())

    def _running(self) -> int:
        self._tick = max(self._tick, int(self._clock()))
        return self._tick

    def _new_second(self, release: str) -> _Second:
        while len(self._seconds) >= self._held_ticks:
            oldest = self._seconds.pop(next(iter(self._seconds)))
            self.dropped += oldest.changes - oldest.sent
        second = self._seconds[release, self._tick] = _Second()
        return second


def _sums(second: _Second) -> dict[Metric, dict[Arm, Sums]]:
    found: dict[Metric, dict[Arm, Sums]] = {}
    for (metric, arm), (n, total, squares) in second.sums.items():
        found.setdefault(metric, {})[arm] = Sums(int(n), total, squares)
    return found
