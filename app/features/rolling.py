"""Feature rows by event: what a recipe declares once, for an offline batch and an online updater alike.

An *event* is what becomes known about an entity at an instant, such as the delay of a flight when it lands. Every
event yields one new row of feature values for its entity, with the event's instant as event time; a row is a pure
function of that entity's events up to and including its own. :func:`batch_rows` computes the rows of a whole log,
:func:`update` the next row of a stream, and both give the same values. Events of one entity that share an instant
keep their order in the log; the last of their rows is the one that holds, so a store must let a row replace one of
the same event time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.features.aggregations import Aggregation, Floats, Grouped, Instants
from app.features.view import Feature, FeatureView

INSTANT = "instant"
"""Column of every table of events: when each became known, whole seconds since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True)
class RollingView:
    """A feature view whose rows follow from events. Its features are float64; one that is not known is NaN.

    Attributes:
        name: outside of the view, feature ``f`` is called ``{name}_f``.
        entity: request columns that name the entity together.
        source: the stream of events.
        features: aggregation by feature name, in the order of a row.
        ttl: seconds after its event time during which a row may be served.

    Raises:
        ValueError: the declaration cannot be used; the message names field and value.
    """

    name: str
    entity: tuple[str, ...]
    source: str
    features: Mapping[str, Aggregation]
    ttl: int

    def __post_init__(self) -> None:
        assert self.declaration.name == self.name  # refuses what no feature view may be

    @property
    def declaration(self) -> FeatureView:
        """The declaration that the online store and the models know."""
        features = tuple(Feature(feature, "float64", math.nan) for feature in self.features)
        return FeatureView(self.name, self.entity, features, self.ttl, event_time=INSTANT, source=self.source)

    @property
    def age(self) -> str:
        """The derived column: seconds from a row's event time to the request's instant."""
        return f"{self.name}_age"

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that a request gets from this view; the age comes last."""
        return (*(f"{self.name}_{feature}" for feature in self.features), self.age)


@dataclass(frozen=True, slots=True)
class EventTable:
    """Events of many entities.

    Attributes:
        entity: key of each event's entity, comparable.
        instant: when the event became known.
        values: what became known, by name; finite but for those that only :class:`Last` looks at.
    """

    entity: NDArray[Any]
    instant: Instants
    values: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Feature rows ordered by entity, then event time; of equal event times the last holds.

    Attributes:
        entity: key of each row's entity.
        event_time: instant of the event that made the row.
        values: by feature name, one value a row.
    """

    entity: NDArray[Any]
    event_time: Instants
    values: Mapping[str, Floats]


def batch_rows(view: RollingView, log: EventTable) -> FeatureRows:
    """All rows that a log of events makes, one an event."""
    entity, events = _grouped(log)
    rows = {name: aggregation.batch(events) for name, aggregation in view.features.items()}
    return FeatureRows(entity, events.instant, rows)


def _grouped(log: EventTable) -> tuple[NDArray[Any], Grouped]:
    order = np.lexsort((log.instant, log.entity))  # stable: ties keep their order in the log
    entity, instant = log.entity[order], log.instant[order]
    place = np.arange(len(order))
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = entity[1:] != entity[:-1]
    rank = place - np.maximum.accumulate(np.where(first, place, 0))
    return entity, Grouped(instant, {name: values[order] for name, values in log.values.items()}, rank)


@dataclass(frozen=True, slots=True)
class EntityState:
    """The state to which an entity's past events add up.

    Attributes:
        instant: of its newest event.
        parts: one plain value (numbers and tuples of them, or None) a feature, in the view's order.
    """

    instant: int
    parts: tuple[Any, ...]


def batch_states(view: RollingView, log: EventTable) -> list[tuple[Any, EntityState]]:
    """Each entity of a log with its state after the log's events, from which :func:`update` goes on."""
    entity, events = _grouped(log)
    newest = np.flatnonzero(np.append(events.rank[1:] == 0, True)) if len(entity) else np.empty(0, dtype=np.int64)
    parts = zip(*(aggregation.states(events, newest) for aggregation in view.features.values()), strict=True)
    return [
        (name, EntityState(instant, of_entity))
        for name, instant, of_entity in zip(
            entity[newest].tolist(), events.instant[newest].tolist(), parts, strict=True
        )
    ]


def update(
    view: RollingView, state: EntityState | None, instant: int, values: Mapping[str, float]
) -> tuple[EntityState, dict[str, float]]:
    """The state and the row after one more event of an entity; ``None`` is the state of a new entity.

    Raises:
        ValueError: the event is older than the entity's newest one.
    """
    if state is not None and instant < state.instant:
        raise ValueError(
            f"view {view.name}: the event at {instant} is older than the entity's newest, at {state.instant}; "
            "events of an entity must come in the order of their instants"
        )
    before = state.parts if state else (None,) * len(view.features)
    steps = [
        aggregation.update(part, instant, values)
        for part, aggregation in zip(before, view.features.values(), strict=True)
    ]
    row = {name: feature for name, (_, feature) in zip(view.features, steps, strict=True)}
    return EntityState(instant, tuple(part for part, _ in steps)), row
