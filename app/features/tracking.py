"""Feature rows kept by the reader, which Redis tells of every write: server-assisted client-side caching.

https://valkey.io/topics/client-side-caching, in broadcasting mode for the prefix of all feature keys. One connection
does both halves: it turns tracking on, redirected to itself, and subscribes to the channel of invalidations. That
works with RESP2, hence on every server, and tracking cannot end without this connection ending.

How stale a row can be: normally as long as an invalidation travels, a fraction of a millisecond. At worst, on a
connection that is dead but looks open, ``max_stale_s``: rows are served for that long after the sending of a PING
that was answered, and the answer came on the same connection, behind the invalidations of all writes before the PING.
Servers remove a row past its ttl lazily and announce that no sooner; freshness never rests on it, as every read
compares the event time with the clock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from app.features.entity import PREFIX
from app.periodic import Periodic

log = logging.getLogger(__name__)

CHANNEL = b"__redis__:invalidate"
AGAIN_S = 0.25
"""Pause before the connection is made again, seconds; reads go to Redis meanwhile."""

SILENCE_S = 0.01
"""The least time given to a message that may already lie in the socket, when this process was busy, seconds."""

_NOT_HELD: Any = object()
"""Stands for a key that is not held, where None is a row that is not there."""


@dataclass(slots=True)
class TrackingStats:
    """Counts since the cache was made. Of the keys asked, each is one of ``hits``, ``misses`` and ``bypassed``.

    Attributes:
        hits: answered from memory.
        misses: asked of Redis, and kept.
        bypassed: asked of Redis while tracking was not established, and not kept.
        invalidated: kept rows that a write took out.
        raced: rows that were written while they were fetched, and not kept.
        evicted: rows that made room.
        emptied: times that all was dropped: the connection was lost, or Redis flushed.
        lost: connections lost or not made.
    """

    hits: int = 0
    misses: int = 0
    bypassed: int = 0
    invalidated: int = 0
    raced: int = 0
    evicted: int = 0
    emptied: int = 0
    lost: int = 0


class TrackedRows:
    """Feature rows as ``Redis.mget`` gives them, from memory where no write was announced since the last fetch.

    Args:
        redis: a client that answers with bytes; its owner closes it. The tracking connection is made after its
            pool's own.
        max_entries: rows kept, missing ones included; the least recently used leave first.
        max_stale_s: how long a write may go unnoticed at worst, seconds; see the module. It is also how soon a silent
            connection is given up: half of it passes between two PING, the other half is left for the answer.
    """

    def __init__(self, redis: Redis, max_entries: int, max_stale_s: float) -> None:
        self.stats = TrackingStats()
        self._redis = redis
        self._max_entries = max_entries
        self._max_stale_s = max_stale_s
        self._rows: OrderedDict[bytes, bytes | None] = OrderedDict()
        # The last fetch of each key under way. A write that is announced meanwhile takes the key out: the fetch may
        # have been answered before the write, and what it brings is then stale the moment it arrives.
        self._fetching: dict[bytes, object] = {}
        self._valid_until = 0.0  # monotonic, seconds; in the past: not tracking
        self._watching = Periodic(
            "tracking of feature rows",
            self._watch,
            AGAIN_S,
            expected=(RedisError, OSError),
            consequence="reads go to Redis",
        )
        self.tracking = asyncio.Event()
        """Set while tracking is established."""

    def __len__(self) -> int:
        return len(self._rows)

    def start(self) -> None:
        """Begins to track, on the running loop. Before that every read goes to Redis."""
        self._watching.start()

    async def stop(self) -> None:
        """Ends tracking and forgets all rows."""
        await self._watching.stop()

    async def mget(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The bytes of each key, None where there is none; the deadline is the caller's.

        Args:
            keys: of feature rows: all begin with ``app.features.entity.PREFIX``.

        Raises:
            redis.RedisError, OSError: some are not held, and Redis does not answer.
        """
        if time.monotonic() >= self._valid_until:
            self.stats.bypassed += len(keys)
            return await self._fetch(keys)
        rows, held = self._rows, []
        missing = []
        for key in keys:
            row = rows.get(key, _NOT_HELD)
            if row is _NOT_HELD:
                missing.append(key)
            else:
                rows.move_to_end(key)
            held.append(row)
        self.stats.hits += len(keys) - len(missing)
        if not missing:
            return held
        self.stats.misses += len(missing)
        fetched = iter(await self._fetch_tracked(missing))
        return [next(fetched) if row is _NOT_HELD else row for row in held]

    async def _fetch(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return cast(list[bytes | None], await cast(Awaitable[Any], self._redis.mget(keys)))

    async def _fetch_tracked(self, keys: list[bytes]) -> list[bytes | None]:
        mine, fetching = object(), self._fetching
        fetching.update(dict.fromkeys(keys, mine))
        try:
            found = await self._fetch(keys)
            for key, row in zip(keys, found, strict=True):
                if fetching.get(key) is mine:
                    self._rows[key] = row
                    self._rows.move_to_end(key)
                elif key not in fetching:
                    self.stats.raced += 1
        finally:
            for key in keys:
                if fetching.get(key) is mine:
                    del fetching[key]
        while len(self._rows) > self._max_entries:
            self._rows.popitem(last=False)
            self.stats.evicted += 1
        return found

    def _invalidate(self, keys: Sequence[bytes] | None) -> None:
        """Forgets these rows, or all (None: Redis was flushed), those being fetched included."""
        if keys is None:
            self._empty()
            return
        for key in keys:
            self._fetching.pop(key, None)
            if self._rows.pop(key, _NOT_HELD) is not _NOT_HELD:
                self.stats.invalidated += 1

    def _empty(self) -> None:
        self._rows.clear()
        self._fetching.clear()
        self.stats.emptied += 1

    async def _watch(self) -> None:
        connection = self._connection()
        try:
            async with asyncio.timeout(self._max_stale_s):
                await _establish(connection)
            log.info("feature rows are tracked")
            self._watching.succeeded()
            await self._follow(connection)
        except (RedisError, OSError):
            self.stats.lost += 1
            raise
        finally:
            self._valid_until = 0.0
            if self.tracking.is_set():
                self.tracking.clear()
                self._empty()
            await connection.disconnect(nowait=True)

    def _connection(self) -> AbstractConnection:
        pool = self._redis.connection_pool
        return pool.connection_class(**{**pool.connection_kwargs, "protocol": 2})

    async def _follow(self, connection: AbstractConnection) -> None:
        """Takes invalidations in until the connection fails.

        Raises:
            redis.RedisError, OSError: the connection is gone, or its PING was not answered in time.
        """
        pause_s = self._max_stale_s / 2
        sent = ping_at = time.monotonic()
        answered = True
        while not self._watching.stopping:
            now = time.monotonic()
            if answered and now >= ping_at:
                sent, answered = now, False
                await _send(connection, "PING")
            due = ping_at if answered else sent + pause_s
            message = await connection.read_response(timeout=max(due - now, SILENCE_S), disconnect_on_error=False)
            if message is None:
                if not answered and time.monotonic() >= due:
                    raise TimeoutError(f"no answer to PING within {pause_s} s")
            elif message[0] == b"pong":
                answered, ping_at = True, sent + pause_s
                self._valid_until = sent + self._max_stale_s
                self.tracking.set()
            elif message[0] == b"message" and message[1] == CHANNEL:
                self._invalidate(message[2])


async def _establish(connection: AbstractConnection) -> None:
    await connection.connect()  # type: ignore[no-untyped-call]
    client = await _call(connection, "CLIENT", "ID")
    await _call(connection, "CLIENT", "TRACKING", "ON", "REDIRECT", client, "BCAST", "PREFIX", PREFIX)
    await _call(connection, "SUBSCRIBE", CHANNEL)


async def _call(connection: AbstractConnection, *command: str | bytes | int) -> Any:
    await _send(connection, *command)
    return await connection.read_response()


async def _send(connection: AbstractConnection, *command: str | bytes | int) -> None:
    assert connection.is_connected, "sending would connect anew, without tracking"
    await connection.send_command(*command, check_health=False)
