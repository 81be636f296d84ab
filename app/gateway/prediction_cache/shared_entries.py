"""Entries in Redis, which all replicas share: read and written by one task, many at a time.

While one call is under way the next one gathers: under load one MGET serves many requests, and a replica needs one
connection. Redis is never waited for longer than the deadline; once it failed, it is left alone for a while and then
asked by one request alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.gateway.prediction_cache.cache_stats import CacheStats
from app.gateway.prediction_cache.codec import FORMAT
from app.periodic import Periodic

# One hash tag: a Redis Cluster answers an MGET only within one slot.
PREFIX = f"tidegate:{{predictions}}:{FORMAT}:".encode()
AWAY_S = 1.0
"""For how long Redis is left alone after a failure, seconds."""
BATCH = 64
"""Entries that travel together."""
BATCH_BYTES = 1 << 20
QUEUED_OVERHEAD_BYTES = 256
"""What a queued entry costs beside its bytes."""


class SharedEntries:
    """Bytes by key in Redis. Nothing here raises because of Redis: away, slow or full, it is a miss, and counted.

    Args:
        redis: a client that answers with bytes; its owner closes it.
        timeout_s: deadline of one read, and of each batch of writes, seconds.
        max_queued_bytes: of the entries that wait to be written; one more is dropped.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        redis: Redis,
        timeout_s: float,
        max_queued_bytes: int,
        stats: CacheStats,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._timeout_s = timeout_s
        self._max_queued_bytes = max_queued_bytes
        self._stats = stats
        self._clock = clock
        self._reads: deque[tuple[bytes, asyncio.Future[bytes | None]]] = deque()
        self._writes: deque[tuple[bytes, bytes, int]] = deque()
        self._queued_bytes = 0
        self._connected = False
        self._failed = False
        self._skip_until = 0.0
        self._serving = Periodic(
            "serving the prediction cache from Redis",
            self._serve,
            None,
            expected=(RedisError, OSError),
            consequence="what it holds is a miss",
        )

    def start(self) -> None:
        """Begins to serve, on the running loop. Before that every read is a miss."""
        self._serving.start()

    async def stop(self) -> None:
        """End; what waits to be written is dropped, what waits to be read is a miss."""
        await self._serving.stop()
        self._give_up()

    async def get(self, key: bytes) -> bytes | None:
        """The bytes of a key; None when there are none or Redis does not say so in time."""
        if not self._may_ask():
            return None
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._reads.append((key, answer))
        self._serving.wake()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError:  # the call itself ends at its own deadline, and is counted there
            return None

    def put(self, key: bytes, data: bytes, ttl_s: float) -> None:
        """Queue an entry to be written; drop it when the queue is full or Redis away."""
        size = len(data) + QUEUED_OVERHEAD_BYTES
        if not self._serving.running or self._failed or self._queued_bytes + size > self._max_queued_bytes:
            self._stats.dropped += 1
            return
        self._writes.append((key, data, max(1, int(ttl_s * 1000))))
        self._queued_bytes += size
        self._serving.wake()

    def _may_ask(self) -> bool:
        if not self._serving.running:
            return False
        if self._failed:
            now = self._clock()
            if now < self._skip_until:
                return False
            self._skip_until = now + AWAY_S  # this one asks; the others wait for what it finds
        return True

    async def _serve(self) -> None:
        try:
            while (self._reads or self._writes) and not self._serving.stopping:
                if self._reads:
                    await self._read()
                if self._writes:
                    await self._write()
        except Exception:
            self._away()
            raise

    async def _read(self) -> None:
        batch = [self._reads.popleft() for _ in range(min(BATCH, len(self._reads)))]
        asked = [(key, answer) for key, answer in batch if not answer.done()]  # the others wait no longer
        if not asked:
            return
        found: Sequence[bytes | None] = [None] * len(asked)
        # A connection is made in several round trips; those who ask meanwhile leave at their own deadline.
        timeout_s = self._timeout_s if self._connected else max(AWAY_S, self._timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                found = cast(list[bytes | None], await self._redis.mget([PREFIX + key for key, _ in asked]))
            self._connected = True
            self._failed = False
        finally:  # also when this task is cancelled
            for (_, answer), data in zip(asked, found, strict=True):
                if not answer.done():
                    answer.set_result(data)

    async def _write(self) -> None:
        batch: list[tuple[bytes, bytes, int]] = []
        size = 0
        while self._writes and len(batch) < BATCH and size < BATCH_BYTES:
            batch.append(self._writes.popleft())
            size += len(batch[-1][1])
        self._queued_bytes -= size + QUEUED_OVERHEAD_BYTES * len(batch)
        stored = 0
        try:
            async with asyncio.timeout(self._timeout_s), self._redis.pipeline(transaction=False) as pipe:
                for key, data, ttl_ms in batch:
                    pipe.set(PREFIX + key, data, px=ttl_ms)
                replies = await pipe.execute(raise_on_error=False)
            stored = sum(not isinstance(reply, Exception) for reply in replies)
            self._stats.redis_errors += stored < len(batch)  # its memory is spent, say: reads go on
        finally:
            self._stats.stored += stored
            self._stats.dropped += len(batch) - stored

    def _away(self) -> None:
        self._stats.redis_errors += 1
        self._connected = False
        self._failed = True
        self._skip_until = self._clock() + AWAY_S
        self._give_up()

    def _give_up(self) -> None:
        while self._reads:
            _, answer = self._reads.popleft()
            if not answer.done():
                answer.set_result(None)
        self._stats.dropped += len(self._writes)
        self._writes.clear()
        self._queued_bytes = 0
