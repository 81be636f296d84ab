"""The newest row of every entity, from events in Parquet into the online store.

A *part* is one view, or a share of its entities by hash where its source is long. Each part is one task of Ray Data
on a connected cluster: it reads its source's events up to the instant and computes rows; this process writes them,
part by part, and remembers which are done. A repeat writes the same rows; one that follows within the ttl skips what
was done.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
import ray

from app.features.checkpoint import FeatureCheckpoint
from app.features.entity import Entity
from app.features.entity_codes import entity_codes
from app.features.event_store import EventStore, EventStoreError
from app.features.feature_row import Row
from app.features.online import OnlineStore, Written
from app.features.point_in_time import event_table
from app.features.rolling import EventTable, RollingView, batch_rows
from app.features.view_document import to_document

ROWS_PER_PART = 2_000_000
"""Events of a source for each part of one of its views."""
ROWS_PER_BATCH = 4_096
"""Rows that travel from a task to this process together."""
SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class ViewPart:
    """A share of a view's entities: those whose hash leaves ``share`` when divided by ``shares``."""

    view: RollingView
    share: int
    shares: int

    @property
    def name(self) -> str:
        return f"{self.view.name} {self.share + 1}/{self.shares}"


@dataclass(frozen=True, slots=True)
class MaterializationProgress:
    """Progress of a materialisation.

    Attributes:
        parts_done: of ``parts``, those done before included.
        rows: written, skipped and expired so far.
    """

    parts_done: int
    parts: int
    rows: int


@dataclass(frozen=True, slots=True)
class Materialized:
    """The result of a materialisation: rows by view, and the parts that were done already."""

    views: Mapping[str, Written]
    parts: int
    parts_before: int


async def materialize(
    views: Collection[RollingView],
    events: EventStore,
    until: int,
    store: OnlineStore,
    checkpoint: FeatureCheckpoint,
    replayed: bool,
    report: Callable[[MaterializationProgress], None],
) -> Materialized:
    """Writes each view's newest rows as of an instant.

    Args:
        until: whole seconds since 1970-01-01 UTC; later events are not looked at.
        replayed: true where ``until`` is an instant of a replay, not the wall clock's.

    Raises:
        EventStoreError: a view's source is not there.
        FeatureStoreError: Redis is away; run it again.
    """
    parts = parts_of(views, events)
    digests = {part.name: _digest(part, events, until) for part in parts}
    before = await checkpoint.done()
    left = [part for part in parts if before.get(part.name) != digests[part.name]]
    written = {view.name: Written(0, 0, 0) for view in views}
    got = {part.name: 0 for part in left}
    done, rows, began = len(parts) - len(left), 0, time.time_ns() // 1_000
    report(MaterializationProgress(done, len(parts), rows))
    batches = _batches(left, events, until)
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        for _, group in batch.groupby("part", sort=False):
            part, expected = left[int(group["part"].iloc[0])], int(group["of"].iloc[0])
            now = await store.write(part.view.declaration, _rows(group), until * SECOND if replayed else None)
            written[part.view.name] = _sum(written[part.view.name], now)
            got[part.name] += len(group)
            rows += len(group)
            if got[part.name] == expected:
                await checkpoint.finish(part.name, digests[part.name], began + part.view.ttl * SECOND)
                done += 1
            report(MaterializationProgress(done, len(parts), rows))
    return Materialized(written, len(parts), len(parts) - len(left))


def parts_of(views: Collection[RollingView], events: EventStore) -> list[ViewPart]:
    """The parts of views, by the length of their sources.

    Raises:
        EventStoreError: a source is not there.
    """
    parts = []
    for view in views:
        info = events.info(view.source)
        if info is None:
            raise EventStoreError(f"feature view {view.name}: no events of {view.source} at {events.url}")
        shares = max(-(-info.rows // ROWS_PER_PART), 1)
        parts += [ViewPart(view, share, shares) for share in range(shares)]
    return parts


def newest_rows(part: ViewPart, events: pd.DataFrame) -> pd.DataFrame:
    """Columns ``entity`` (lists of text), ``event_time`` (seconds) and ``values`` (lists of float64), a row for each
    entity of the part that has events."""
    log, first = _of_part(part, events)
    rows = batch_rows(part.view, log)
    last = np.ones(len(rows.entity), dtype=np.bool_)
    last[:-1] = rows.entity[1:] != rows.entity[:-1]
    newest = np.flatnonzero(last)
    named = events.iloc[first[rows.entity[newest]]]
    names = [named[column].astype(str).tolist() for column in part.view.entity]
    values = [column[newest].tolist() for column in rows.values.values()]
    return pd.DataFrame(
        {
            "entity": list(map(list, zip(*names, strict=True))),
            "event_time": rows.event_time[newest].astype(np.int64),
            "values": list(map(list, zip(*values, strict=True))),
        }
    )


def _of_part(part: ViewPart, events: pd.DataFrame) -> tuple[EventTable, Any]:
    """The part's events, and by the number of an entity the place of one of its events."""
    (codes,) = entity_codes([events], part.view.entity)
    if part.shares > 1:
        hashes = pd.util.hash_pandas_object(events[list(part.view.entity)], index=False).to_numpy()
        codes = np.where(hashes % part.shares == part.share, codes, -1)
    first = np.zeros(int(codes.max(initial=-1)) + 1, dtype=np.int64)
    named = np.flatnonzero(codes >= 0)
    first[codes[named]] = named
    return event_table(codes, events, part.view), first


def _batches(parts: list[ViewPart], events: EventStore, until: int) -> Iterator[pd.DataFrame]:
    """Rows of the parts in any order: as of :func:`newest_rows`, with the part's number and its number of rows."""

    def compute(number: int) -> pd.DataFrame:
        found = newest_rows(parts[number], events.read(parts[number].view.source, until=until))
        return found.assign(part=number, of=len(found))

    if not parts:
        return
    if not ray.is_initialized():
        yield from map(compute, range(len(parts)))
        return
    from ray import data  # Ray Data takes a second to import, and a process without a cluster does not need it

    data.DataContext.get_current().enable_progress_bars = False
    numbers = data.from_pandas([pd.DataFrame({"number": [number]}) for number in range(len(parts))])
    rows = numbers.map_batches(
        lambda block: compute(int(block["number"].iloc[0])), batch_format="pandas", batch_size=None
    )
    yield from cast(Iterator[pd.DataFrame], rows.iter_batches(batch_format="pandas", batch_size=ROWS_PER_BATCH))


def _rows(group: pd.DataFrame) -> Iterator[tuple[Entity, Row]]:
    for entity, event_time, values in zip(group["entity"], group["event_time"], group["values"], strict=True):
        yield tuple(entity), Row(int(event_time) * SECOND, tuple(map(float, values)))


def _digest(part: ViewPart, events: EventStore, until: int) -> str:
    """A digest over all that decides the part's rows. Instants past the newest event are equal."""
    info = events.info(part.view.source)
    assert info is not None
    aggregations = tuple(part.view.features.items())
    decides = (part.name, to_document(part.view.declaration), aggregations, info.digest, min(until, info.newest))
    return hashlib.sha256(repr(decides).encode()).hexdigest()[:16]


def _sum(one: Written, other: Written) -> Written:
    return replace(
        one,
        written=one.written + other.written,
        skipped=one.skipped + other.skipped,
        expired=one.expired + other.expired,
    )
