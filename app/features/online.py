"""The online store: feature rows in Redis, written only if newer, read by one MGET for all of a request.

A row leaves Redis when it has outlived its view's ttl, but freshness never rests on that: each read compares the
event time with the clock, which a replay of history may set: see ``replay_clock.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.clock import now_us
from app.errors import UnavailableError
from app.features.entity import PREFIX, Entity, key_of
from app.features.feature_row import Row, RowCodec, Unreadable
from app.features.replay_clock import CLOCK_KEY, ClockError, ReplayClock
from app.features.view import FeatureView
from app.features.view_rows import MISSING, OnlineRow, RowStatus, ViewRequest, ViewRows

T = TypeVar("T")

BATCH = 512
"""Rows that travel to Redis together."""
AHEAD_S = 300
"""How far ahead of the clock a row's event time may be: clocks differ, but such a row keeps newer ones out."""

# Keeps the row with the newest event time whatever the order of the writes; of equal ones the last. Held bytes that
# cannot be read give way. ARGV: event time, row, milliseconds to keep it.
_WRITE_IF_NEWER = """
local held = redis.call('GET', KEYS[1])
if held then
  local ok, row = pcall(cmsgpack.unpack, held)
  if ok and type(row) == 'table' and type(row[2]) == 'number' and row[2] > tonumber(ARGV[1]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class FeatureStoreError(UnavailableError):
    """Redis is away, did not answer in time or holds no readable clock; nothing is known of the features."""


@dataclass(frozen=True, slots=True)
class Written:
    """Rows written, skipped (Redis held a newer one) and expired (older than the ttl, not sent)."""

    written: int
    skipped: int
    expired: int


class OnlineStore:
    """Feature rows in Redis.

    Args:
        redis: a client that answers with bytes (no ``decode_responses``).
        timeout_s: deadline of one read, and of each batch of a write, seconds.
        clock: the wall clock, microseconds since the epoch. It is the store's time unless Redis holds a replay's.
        mget: reads keys in Redis' stead (``TrackedRows.mget``).
    """

    def __init__(
        self,
        redis: Redis,
        timeout_s: float,
        clock: Callable[[], int] = now_us,
        mget: Callable[[list[bytes]], Awaitable[Any]] | None = None,
    ) -> None:
        self._redis = redis
        self._mget: Callable[[list[bytes]], Awaitable[Any]] = redis.mget if mget is None else mget
        self._timeout_s = timeout_s
        self._clock = clock
        self._write = redis.register_script(_WRITE_IF_NEWER)
        self._codecs: dict[str, RowCodec] = {}

    async def now(self) -> int:
        """The store's time, microseconds since the epoch: a replay's while there is one, else the wall clock's.

        Raises:
            FeatureStoreError: Redis is away or too slow, or its clock cannot be read.
        """
        return self._time(await self._held_clock())[0]

    async def write(self, view: FeatureView, rows: Iterable[tuple[Entity, Row]], as_of: int | None = None) -> Written:
        """:meth:`write_all` for one view."""
        return await self.write_all(((view, entity, row) for entity, row in rows), as_of)

    async def write_all(self, rows: Iterable[tuple[FeatureView, Entity, Row]], as_of: int | None = None) -> Written:
        """Stores each row unless Redis holds a newer one of its entity. Idempotent: after any error, write again.

        Args:
            as_of: instant of a replay that the rows are known at, microseconds since the epoch; None: the store's
                time. Redis keeps a replay's rows for a whole ttl of wall time, as its clock runs differently.

        Raises:
            ValueError: an entity or row does not fit its view, or its event time lies in the future; the batches
                before it are written.
            FeatureStoreError: Redis is away or too slow; some rows may have been written.
        """
        written = skipped = expired = 0
        source = iter(rows)
        while batch := list(islice(source, BATCH)):
            now, replayed = (as_of, True) if as_of is not None else self._time(await self._held_clock())
            live = [
                self._command(view, entity, row, now, replayed)
                for view, entity, row in batch
                if view.is_fresh(row.event_time, now)
            ]
            newer = sum(await self._send(live)) if live else 0
            written += newer
            skipped += len(live) - newer
            expired += len(batch) - len(live)
        return Written(written, skipped, expired)

    async def clear(self, view: FeatureView) -> int:
        """Removes every row of a view, of whatever schema; returns how many there were. Each step has the deadline.

        Raises:
            FeatureStoreError: Redis is away or too slow; some rows may be gone.
        """
        cursor, gone = 0, 0
        while True:
            cursor, keys = await self.within_deadline(
                self._redis.scan(cursor, match=f"{PREFIX}:{view.name}:*", count=10 * BATCH)
            )
            if keys:
                gone += await self.within_deadline(self._redis.unlink(*keys))
            if cursor == 0:
                return gone

    async def read(self, requests: Sequence[ViewRequest]) -> tuple[ViewRows, ...]:
        """The rows of all views and entities of a request and the store's time, by one MGET; one answer for each
        ``ViewRequest``. A request that names no entity sends nothing, and its ``read_at`` is the wall clock's.

        Raises:
            EntityError: an entity cannot be one of its view.
            FeatureStoreError: Redis is away or too slow, or its clock cannot be read.
        """
        keys = [
            {entity: key_of(request.view, entity) for entity in request.entities if entity is not None}
            for request in requests
        ]
        asked = list(dict.fromkeys(key for of_view in keys for key in of_view.values()))
        clock, *data = (
            cast(list[bytes | None], await self.within_deadline(self._mget([CLOCK_KEY, *asked]))) if asked else [None]
        )
        held = dict(zip(asked, data, strict=True))
        now, _ = self._time(clock)
        return tuple(
            self._rows(request, {entity: held[key] for entity, key in of_view.items()}, now)
            for request, of_view in zip(requests, keys, strict=True)
        )

    async def _held_clock(self) -> bytes | None:
        return cast(bytes | None, await self.within_deadline(self._redis.get(CLOCK_KEY)))

    def _time(self, held: bytes | None) -> tuple[int, bool]:
        """The store's time, and whether it is a replay's."""
        wall = self._clock()
        if held is None:
            return wall, False
        try:
            return ReplayClock.unpack(held).at(wall), True
        except ClockError as error:
            raise FeatureStoreError(str(error)) from None

    def _rows(self, request: ViewRequest, held: dict[Entity, bytes | None], now: int) -> ViewRows:
        view, codec = request.view, self._codec(request.view)
        found: dict[Entity | None, OnlineRow] = {None: MISSING}
        unreadable = []
        for entity, data in held.items():
            row = None if data is None else codec.unpack(data)
            if row is None:
                found[entity] = MISSING
            elif isinstance(row, Unreadable):
                found[entity] = MISSING
                unreadable.append(row)
            else:
                status = RowStatus.FRESH if view.is_fresh(row.event_time, now) else RowStatus.STALE
                found[entity] = OnlineRow(status, row)
        return ViewRows(
            view=view,
            read_at=now,
            rows=tuple(found[entity] for entity in request.entities),
            corrupt=unreadable.count(Unreadable.CORRUPT),
            other_schema=unreadable.count(Unreadable.OTHER_SCHEMA),
        )

    def _command(
        self, view: FeatureView, entity: Entity, row: Row, now: int, replayed: bool
    ) -> tuple[bytes, int, bytes, int]:
        if row.event_time > now + AHEAD_S * 1_000_000:
            raise ValueError(
                f"feature view {view.name}: the row of {entity!r} has the event time {row.event_time}, more than "
                f"{AHEAD_S} s after now ({now}); event times are microseconds since the epoch, UTC"
            )
        left_us = view.ttl * 1_000_000 if replayed else row.event_time + view.ttl * 1_000_000 - now
        keep_ms = left_us // 1_000 + 1  # rounded up: the last fresh instant is still served
        return key_of(view, entity), row.event_time, self._codec(view).pack(row), keep_ms

    async def _send(self, commands: list[tuple[bytes, int, bytes, int]]) -> list[int]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for key, event_time, row, keep_ms in commands:
                await self._write(keys=[key], args=[event_time, row, keep_ms], client=pipe)
            return cast(list[int], await self.within_deadline(pipe.execute()))

    async def within_deadline(self, answer: Awaitable[T]) -> T:
        """An answer of this store's Redis, by the deadline of a read.

        Raises:
            FeatureStoreError: there is none.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except (RedisError, OSError) as error:  # a passed deadline is a TimeoutError, which is an OSError
            reason = str(error) or type(error).__name__
            raise FeatureStoreError(
                f"the feature store in Redis gave no answer (deadline {self._timeout_s} s): {reason}"
            ) from error

    def _codec(self, view: FeatureView) -> RowCodec:
        found = self._codecs.get(view.schema)  # what a codec depends on is what the schema is a digest of
        if found is None:
            found = self._codecs[view.schema] = RowCodec(view)
        return found
