"""Rolling features of one entity's events: what a recipe declares, an offline batch and an online updater share.

An *event* is a number that becomes known about an entity at an instant, such as the delay of a flight when
it lands. Every event yields one new row of feature values for its entity, with the event's instant as event
time; a row is a pure function of that entity's events up to and including its own. :func:`batch_rows`
computes the rows of a whole log, :func:`update` the next row of a stream; both give the same values. Events
of one entity that share an instant keep their order in the log, and the last of their rows is the one that
holds at that instant.
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
class EventLog:
    """Events of many entities.

    Attributes:
        entity: entity key of each event, any comparable type.
        instant: when the event became known.
        value: what became known; finite.
    """

    entity: NDArray[Any]
    instant: Instants
    value: Floats


@dataclass(frozen=True, slots=True)
class Grouped:
    """Events ordered by entity, then instant, then place in the log.

    Attributes:
        instant: as in the log, reordered.
        value: as in the log, reordered.
        rank: 0 for an entity's first event, 1 for its second, and so on.
    """

    instant: Instants
    value: Floats
    rank: NDArray[np.int64]


class Aggregation(Protocol):
    """One feature over an entity's events."""

    def batch(self, events: Grouped) -> Floats:
        """The feature after each event."""

    def update(self, state: Any, instant: int, value: float) -> tuple[Any, float]:
        """The state after one more event, and the feature; ``None`` is the state before the first."""


@dataclass(frozen=True, slots=True)
class Last:
    """The newest value."""

    def batch(self, events: Grouped) -> Floats:
        return events.value

    def update(self, state: None, instant: int, value: float) -> tuple[None, float]:
        return None, value


@dataclass(frozen=True, slots=True)
class MeanOfLast:
    """The mean of the newest ``count`` values, of as many as there are."""

    count: int

    def batch(self, events: Grouped) -> Floats:
        total = np.zeros(len(events.value))
        for back in reversed(range(self.count)):  # oldest first, the order in which `update` adds
            total[back:] += np.where(events.rank >= back, _shift(events.value, back), 0.0)[back:]
        return total / np.minimum(events.rank + 1, self.count)

    def update(self, state: tuple[float, ...] | None, instant: int, value: float) -> tuple[tuple[float, ...], float]:
        newest = (*(state or ()), value)[-self.count :]
        return newest, sum(newest) / len(newest)


@dataclass(frozen=True, slots=True)
class ShareAbove:
    """The share of the newest ``count`` values that are greater than ``threshold``."""

    threshold: float
    count: int

    def batch(self, events: Grouped) -> Floats:
        above = (events.value > self.threshold).astype(np.float64)
        return MeanOfLast(self.count).batch(Grouped(events.instant, above, events.rank))

    def update(self, state: tuple[float, ...] | None, instant: int, value: float) -> tuple[tuple[float, ...], float]:
        return MeanOfLast(self.count).update(state, instant, float(value > self.threshold))


@dataclass(frozen=True, slots=True)
class DecayedMean:
    """The mean of all values, each weighted by 2^(-age / half_life); age in seconds at the newest event."""

    half_life: float

    def batch(self, events: Grouped) -> Floats:
        elapsed = np.diff(events.instant, prepend=events.instant[:1])
        # The weight of an entity's past at its first event is zero, which starts the recursion anew.
        decay = np.where(events.rank > 0, np.exp2(-np.maximum(elapsed, 0) / self.half_life), 0.0)
        result = np.empty(len(decay))
        total = weight = 0.0
        # A plain loop: one addition after another as in `update`, and faster than a vectorised scan.
        for row, (factor, value) in enumerate(zip(decay.tolist(), events.value.tolist(), strict=True)):
            total = total * factor + value
            weight = weight * factor + 1.0
            result[row] = total / weight
        return result

    def update(
        self, state: tuple[float, float, int] | None, instant: int, value: float
    ) -> tuple[tuple[float, float, int], float]:
        total, weight, last = state or (0.0, 0.0, instant)
        factor = exp2(-(instant - last) / self.half_life)
        total = total * factor + value
        weight = weight * factor + 1.0
        return (total, weight, instant), total / weight


@dataclass(frozen=True, slots=True)
class CountWithin:
    """How many events lie in the last ``seconds`` up to the newest one, itself included."""

    seconds: int

    def batch(self, events: Grouped) -> Floats:
        if not len(events.instant):
            return np.empty(0)
        entity = np.cumsum(events.rank == 0)
        origin, span = events.instant.min(), np.ptp(events.instant) + self.seconds + 1
        key = entity * span + (events.instant - origin)
        # Events of another entity lie at least `seconds` away on this line.
        first = np.searchsorted(key, key - self.seconds, side="right")
        return (np.arange(len(key)) - first + 1).astype(np.float64)

    def update(self, state: tuple[int, ...] | None, instant: int, value: float) -> tuple[tuple[int, ...], float]:
        within = (*(seen for seen in state or () if seen > instant - self.seconds), instant)
        return within, float(len(within))


@dataclass(frozen=True, slots=True)
class RollingView:
    """A feature view whose rows follow from events.

    Attributes:
        name: the view's name; feature ``f`` is called ``{name}_f`` outside of the view.
        features: aggregation by feature name, in the order of a row.
        ttl: seconds after its event time during which a row may be served.
    """

    name: str
    features: Mapping[str, Aggregation]
    ttl: int


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Feature rows by event, ordered by entity, then event time; the last of equal event times holds.

    Attributes:
        entity: entity key of each row.
        event_time: instant of the event that made the row.
        values: by feature name, one value a row.
    """

    entity: NDArray[Any]
    event_time: Instants
    values: Mapping[str, Floats]


def batch_rows(view: RollingView, log: EventLog) -> FeatureRows:
    """All rows that a log of events makes, one an event."""
    order = np.lexsort((log.instant, log.entity))  # stable: ties keep their order in the log
    entity, instant = log.entity[order], log.instant[order]
    rows = np.arange(len(order))
    new = np.ones(len(order), dtype=bool)
    new[1:] = entity[1:] != entity[:-1]
    rank = rows - np.maximum.accumulate(np.where(new, rows, 0))
    events = Grouped(instant, log.value[order], rank)
    values = {name: aggregation.batch(events) for name, aggregation in view.features.items()}
    return FeatureRows(entity, instant, values)


State = tuple[Any, ...]
"""What an entity's past amounts to: one plain value (numbers and tuples of them) a feature."""


def update(view: RollingView, state: State | None, instant: int, value: float) -> tuple[State, dict[str, float]]:
    """The state and the row after one more event of an entity; ``None`` is the state of a new entity.

    Events of an entity must come in the order of their instants.
    """
    past = state or (None,) * len(view.features)
    steps = [
        aggregation.update(before, instant, value)
        for before, aggregation in zip(past, view.features.values(), strict=True)
    ]
    row = {name: feature for name, (_, feature) in zip(view.features, steps, strict=True)}
    return tuple(after for after, _ in steps), row


def _shift(values: Floats, back: int) -> Floats:
    return np.concatenate([np.zeros(back), values[: len(values) - back]])
