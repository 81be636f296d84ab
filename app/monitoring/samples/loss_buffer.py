"""The sums of one process: of each release, tick by tick. Nothing here waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from app.monitoring.sums import Arm, Metric, Sums

Sample = tuple[Metric, Arm, float]
"""Of one request: metric, arm, and the loss, 0 to 1."""


@dataclass(slots=True)
class _Page:
    """One release's second. ``changes`` counts the notes, ``sent`` those of them that Redis has."""

    sums: dict[tuple[Metric, Arm], list[float]] = field(default_factory=dict)
    changes: int = 0
    sent: int = 0


class Due(NamedTuple):
    """Sums that are to be sent.

    Attributes:
        changes: how many notes they are made of.
    """

    release: str
    tick: int
    changes: int
    sums: dict[Metric, dict[Arm, Sums]]


class SampleBook:
    """Sums by release and tick, a whole second since the epoch. All who write in it are on one event loop.

    A tick that is over never comes back, since what it held may have been judged: a wall clock that is set back
    stands still here until it has caught up.

    Args:
        held_ticks: ticks of all releases that are held while they cannot be sent; then the oldest is dropped.
        clock: seconds since the epoch.
    """

    def __init__(self, held_ticks: int, clock: Callable[[], float] = time.time) -> None:
        self._held_ticks = held_ticks
        self._clock = clock
        self._pages: dict[tuple[str, int], _Page] = {}
        self._tick = 0
        self.noted = 0
        self.dropped = 0
        """Notes that went with a dropped tick and that Redis does not have."""

    def note(self, release: str, samples: Sequence[Sample]) -> None:
        """Add what was measured of one request, or of a pair, to the present tick.

        Raises:
            ValueError: a loss is outside 0 to 1.
        """
        for metric, _, loss in samples:
            if not 0.0 <= loss <= 1.0:
                raise ValueError(f"loss {loss!r} of {metric}: accepted is a number from 0 to 1")
        page = self._pages.get((release, self._running())) or self._new_page(release)
        page.changes += 1
        self.noted += 1
        for metric, arm, loss in samples:
            sums = page.sums.get((metric, arm))
            if sums is None:
                sums = page.sums[metric, arm] = [0, 0.0, 0.0]
            sums[0] += 1
            sums[1] += loss
            sums[2] += loss * loss

    def due(self, everything: bool = False) -> list[Due]:
        """The sums that have changed since they were last sent, oldest first: of every tick but the present second's,
        which will change again.

        Args:
            everything: of that one, too.
        """
        now = int(self._clock())
        waits = now if self._running() == now else None  # a clock that was set back may not reach its tick for long
        return [
            Due(release, tick, page.changes, _sums(page))
            for (release, tick), page in self._pages.items()
            if page.changes > page.sent and (everything or tick != waits)
        ]

    def sent(self, due: Due) -> None:
        """These sums lie in Redis, or have been refused there for good."""
        page = self._pages.get((due.release, due.tick))
        if page is not None:
            page.sent = due.changes

    def forget(self) -> None:
        """Forget the ticks that are over and sent."""
        running = self._running()
        over = [key for key, page in self._pages.items() if key[1] < running and page.sent == page.changes]
        for key in over:
            del self._pages[key]

    def unsent(self) -> int:
        """Notes that Redis does not have."""
        return sum(page.changes - page.sent for page in self._pages.values())

    def _running(self) -> int:
        self._tick = max(self._tick, int(self._clock()))
        return self._tick

    def _new_page(self, release: str) -> _Page:
        while len(self._pages) >= self._held_ticks:
            oldest = self._pages.pop(next(iter(self._pages)))
            self.dropped += oldest.changes - oldest.sent
        page = self._pages[release, self._tick] = _Page()
        return page


def _sums(page: _Page) -> dict[Metric, dict[Arm, Sums]]:
    found: dict[Metric, dict[Arm, Sums]] = {}
    for (metric, arm), (n, total, squares) in page.sums.items():
        found.setdefault(metric, {})[arm] = Sums(int(n), total, squares)
    return found
