"""Replays a stream of events into the online store, as they become known, by the same views as training.

Each entity's state goes on where the events up to the start left it. :meth:`Replayer.advance` folds the events up to
an instant into it, writes the newest row of every entity that had one, and then moves the store's clock: a reader
never has a clock that is ahead of the rows, unless the clock runs by itself (``speed``), and then by the time since
the last step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.features.checkpoint import FeatureCheckpoint
from app.features.entity import Entity
from app.features.entity_codes import entity_codes
from app.features.event_store import EventStore
from app.features.feature_row import Row
from app.features.online import OnlineStore, Written
from app.features.point_in_time import event_table
from app.features.rolling import INSTANT, EntityState, RollingView, batch_states, update
from app.features.view_document import to_document

SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """The result of one step: the events that became known, and the rows of all views."""

    events: int
    rows: Written


def replay_digest(views: Collection[RollingView], events: EventStore) -> str:
    """A digest over all that a replay writes: two with the same one may go on from each other's position."""
    sources = sorted({view.source for view in views})
    decides = (
        [(to_document(view.declaration), tuple(view.features.items())) for view in views],
        [(source, events.info(source)) for source in sources],
    )
    return hashlib.sha256(repr(decides).encode()).hexdigest()[:16]


class Replayer:
    """A replay at an instant. Making one reads all events and rebuilds the states: seconds for 300,000 events a
    source.

    Args:
        start: whole seconds since 1970-01-01 UTC; the rows up to it are in the store (``materialize``).

    Raises:
        EventStoreError: a view's source is not there.
    """

    def __init__(
        self,
        views: Collection[RollingView],
        events: EventStore,
        start: int,
        store: OnlineStore,
        checkpoint: FeatureCheckpoint,
    ) -> None:
        self._store, self._checkpoint = store, checkpoint
        self._digest = replay_digest(views, events)
        self.position = start
        self._feeds = []
        for source in dict.fromkeys(view.source for view in views):
            of_source = [view for view in views if view.source == source]
            self._feeds.append(_Feed(of_source, events.read(source), start))
        self.newest = max((feed.newest for feed in self._feeds), default=start)

    async def begin(self, speed: float = 0.0) -> None:
        """Sets the store's clock to the start.

        Raises:
            FeatureStoreError: Redis is away.
        """
        await self._checkpoint.move(self.position * SECOND, speed, self._digest)

    async def advance(self, to: int, speed: float = 0.0) -> ReplayStep:
        """Writes what becomes known up to an instant, then sets the clock to it. After an error, call it again.

        Args:
            to: whole seconds since 1970-01-01 UTC.
            speed: seconds of the clock in a second of wall time from there on; 0 stands still.

        Raises:
            ValueError: the replay is past that instant.
            FeatureStoreError: Redis is away; the clock stays where it was.
        """
        if to < self.position:
            raise ValueError(f"the replay is at {self.position} and cannot go back to {to}")
        known = sum([feed.fold(to) for feed in self._feeds])
        rows = (
            (feed.declared[view], entity, row)
            for feed in self._feeds
            for view, of_view in feed.pending.items()
            for entity, row in of_view.items()
        )
        done = await self._store.write_all(rows, as_of=to * SECOND)
        for feed in self._feeds:
            feed.written()  # only now: what a failed step did not write is written by the next
        await self._checkpoint.move(to * SECOND, speed, self._digest)
        self.position = to
        return ReplayStep(known, done)


class _Feed:
    """One source's events, and the states of its views' entities up to a place among them."""

    def __init__(self, views: list[RollingView], events: pd.DataFrame, start: int) -> None:
        self._instant = events[INSTANT].to_numpy(np.int64)
        self.newest = int(self._instant[-1]) if len(events) else 0
        self._next = int(np.searchsorted(self._instant, start, side="right"))
        past, self._ahead = events.iloc[: self._next], events.iloc[self._next :]
        self._offset = self._next
        self._views = {view.name: view for view in views}
        self.declared = {view.name: view.declaration for view in views}
        self.pending: dict[str, dict[Entity, Row]] = {view.name: {} for view in views}
        self._states = {view.name: _states(view, past) for view in views}
        self._values = [str(name) for name in events if pd.api.types.is_float_dtype(events[name].dtype)]

    def written(self) -> None:
        """Clears the pending rows, which are in the store now."""
        for rows in self.pending.values():
            rows.clear()

    def fold(self, to: int) -> int:
        """Folds the events up to an instant into the states and the pending rows; returns how many there were."""
        end = int(np.searchsorted(self._instant, to, side="right"))
        if end <= self._next:
            return 0
        events = self._ahead.iloc[self._next - self._offset : end - self._offset]
        instants = self._instant[self._next : end].tolist()
        values = [
            dict(zip(self._values, of_event, strict=True))
            for of_event in zip(*(events[name].tolist() for name in self._values), strict=True)
        ]
        for name, view in self._views.items():
            states, rows = self._states[name], self.pending[name]
            entities = zip(*(events[column].tolist() for column in view.entity), strict=True)
            for entity, instant, known in zip(entities, instants, values, strict=True):
                if "" in entity or None in entity:
                    continue
                states[entity], row = update(view, states.get(entity), instant, known)
                rows[entity] = Row(instant * SECOND, tuple(row.values()))
        count, self._next = end - self._next, end
        return count


def _states(view: RollingView, events: pd.DataFrame) -> dict[Entity, EntityState]:
    (codes,) = entity_codes([events], view.entity)
    some = np.zeros(int(codes.max(initial=-1)) + 1, dtype=np.int64)
    named = np.flatnonzero(codes >= 0)
    some[codes[named]] = named
    found = batch_states(view, event_table(codes, events, view))
    places = some[[code for code, _ in found]] if found else np.empty(0, dtype=np.int64)
    names = zip(*(events[column].to_numpy()[places].tolist() for column in view.entity), strict=True)
    return {entity: state for entity, (_, state) in zip(names, found, strict=True)}
