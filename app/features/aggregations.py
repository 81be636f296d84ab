"""Single features over an entity's events, each computed in two ways that agree: for a whole log, and one by one.

A stream goes on where a log ends: ``states`` gives what ``update`` would have left after the log's events.

Every sum is taken in the same order both ways. The batch and the update of :class:`DecayedMean` may differ by the
rounding of 2^x, all others give the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp2
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]
"""Instants as whole seconds since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """Events of many entities, ordered by entity, then instant, then place in the log.

    Attributes:
        instant: when each became known.
        values: what became known, by name.
        rank: 0 for an entity's first event, 1 for its second, and so on.
    """

    instant: Instants
    values: Mapping[str, Floats]
    rank: NDArray[np.int64]


class Aggregation(Protocol):
    """One feature. States are plain values (numbers and tuples of them), so that they can be stored anywhere."""

    def batch(self, events: Grouped) -> Floats:
        """The feature after each event."""

    def states(self, events: Grouped, at: NDArray[np.int64]) -> list[Any]:
        """The state after each of the events whose places are ``at``."""

    def update(self, state: Any, instant: int, values: Mapping[str, float]) -> tuple[Any, float]:
        """The state after one more event, and the feature; ``None`` is the state before the first."""


@dataclass(frozen=True, slots=True)
class Last:
    """The newest value."""

    of: str

    def batch(self, events: Grouped) -> Floats:
        """See :class:`Aggregation`."""
        return events.values[self.of]

    def states(self, events: Grouped, at: NDArray[np.int64]) -> list[None]:
        """See :class:`Aggregation`."""
        return [None] * len(at)

    def update(self, state: None, instant: int, values: Mapping[str, float]) -> tuple[None, float]:
        """See :class:`Aggregation`."""
        return None, values[self.of]


@dataclass(frozen=True, slots=True)
class MeanOfLast:
    """The mean of the newest ``count`` values, of as many as there are."""

    of: str
    count: int

    def batch(self, events: Grouped) -> Floats:
        """See :class:`Aggregation`."""
        return _mean_of_last(events.values[self.of], events.rank, self.count)

    def states(self, events: Grouped, at: NDArray[np.int64]) -> list[tuple[float, ...]]:
        """See :class:`Aggregation`."""
        return _newest(events.values[self.of], np.minimum(events.rank[at] + 1, self.count), at)

    def update(
        self, state: tuple[float, ...] | None, instant: int, values: Mapping[str, float]
    ) -> tuple[tuple[float, ...], float]:
        """See :class:`Aggregation`."""
        newest = (*(state or ()), values[self.of])[-self.count :]
        return newest, _mean(newest)


@dataclass(frozen=True, slots=True)
class ShareAbove:
    """The share of the newest ``count`` values that are greater than ``threshold``."""

    of: str
    threshold: float
    count: int

    def batch(self, events: Grouped) -> Floats:
        """See :class:`Aggregation`."""
        return _mean_of_last(self._above(events), events.rank, self.count)

    def states(self, events: Grouped, at: NDArray[np.int64]) -> list[tuple[float, ...]]:
        """See :class:`Aggregation`."""
        return _newest(self._above(events), np.minimum(events.rank[at] + 1, self.count), at)

    def _above(self, events: Grouped) -> Floats:
        return (events.values[self.of] > self.threshold).astype(np.float64)

    def update(
        self, state: tuple[float, ...] | None, instant: int, values: Mapping[str, float]
    ) -> tuple[tuple[float, ...], float]:
        """See :class:`Aggregation`."""
        newest = (*(state or ()), float(values[self.of] > self.threshold))[-self.count :]
        return newest, _mean(newest)


@dataclass(frozen=True, slots=True)
class DecayedMean:
    """The mean of all values, each weighted by 2^(-age / half_life); age in seconds at the newest event."""

    of: str
    half_life: float

    def batch(self, events: Grouped) -> Floats:
        """See :class:`Aggregation`."""
        totals, weights = self._sums(events)
        means: Floats = np.array(totals) / np.array(weights)
        return means

    def states(self, events: Grouped, at: NDArray[np.int64]) -> list[tuple[float, float, int]]:
        """See :class:`Aggregation`."""
        totals, weights = self._sums(events)
        return [(totals[place], weights[place], int(events.instant[place])) for place in at.tolist()]

    def _sums(self, events: Grouped) -> tuple[list[float], list[float]]:
        elapsed = np.diff(events.instant, prepend=events.instant[:1])
        # At an entity's first event the past weighs nothing, which starts the recursion anew.
        decay = np.where(events.rank > 0, np.exp2(-np.maximum(elapsed, 0) / self.half_life), 0.0)
        totals: list[float] = []
        weights: list[float] = []
        total = weight = 0.0
        # A plain loop adds in the order of `update`, and is faster than a vectorised scan in log2(n) passes.
        for factor, value in zip(decay.tolist(), events.values[self.of].tolist(), strict=True):
            total = total * factor + value
            weight = weight * factor + 1.0
            totals.append(total)
            weights.append(weight)
        return totals, weights

    def update(
        self, state: tuple[float, float, int] | None, instant: int, values: Mapping[str, float]
    ) -> tuple[tuple[float, float, int], float]:
        """See :class:`Aggregation`."""
        total, weight, last = state or (0.0, 0.0, instant)
        factor = exp2(-(instant - last) / self.half_life)
        total = total * factor + values[self.of]
        weight = weight * factor + 1.0
        return (total, weight, instant), total / weight


@dataclass(frozen=True, slots=True)
class CountWithin:
    """The number of events in the last ``seconds`` up to the newest one, which is counted."""

    seconds: int

    def batch(self, events: Grouped) -> Floats:
        """See :class:`Aggregation`."""
        if not len(events.instant):
            return np.empty(0)
        # One line for all entities, with those of two entities at least `seconds` apart.
        stretch = int(np.ptp(events.instant)) + self.seconds + 1
        place = np.cumsum(events.rank == 0) * stretch + (events.instant - events.instant.min())
        before = np.searchsorted(place, place - self.seconds, side="right")
        count: Floats = (np.arange(len(place)) - before + 1).astype(np.float64)
        return count

    def states(self, events: Grouped, at: NDArray[np.int64]) -> list[tuple[int, ...]]:
        """See :class:`Aggregation`."""
        return _newest(events.instant, self.batch(events)[at].astype(np.int64), at)

    def update(
        self, state: tuple[int, ...] | None, instant: int, values: Mapping[str, float]
    ) -> tuple[tuple[int, ...], float]:
        """See :class:`Aggregation`."""
        within = (*(seen for seen in state or () if seen > instant - self.seconds), instant)
        return within, float(len(within))


def _newest(values: NDArray[Any], count: NDArray[np.int64], at: NDArray[np.int64]) -> list[tuple[Any, ...]]:
    """The newest ``count`` values up to each place, oldest first."""
    return [
        tuple(values[place + 1 - many : place + 1].tolist())
        for place, many in zip(at.tolist(), count.tolist(), strict=True)
    ]


def _mean_of_last(values: Floats, rank: NDArray[np.int64], count: int) -> Floats:
    total = np.zeros(len(values))
    for back in reversed(range(min(count, len(values)))):  # oldest first, as in `_mean`
        shifted = values[: len(values) - back]
        total[back:] += np.where(rank[back:] >= back, shifted, 0.0)
    return total / np.minimum(rank + 1, count)


def _mean(values: tuple[float, ...]) -> float:
    total = 0.0
    for value in values:  # not `sum`, which compensates rounding from Python 3.12 on
        total += value
    return total / len(values)
