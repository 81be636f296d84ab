"""The prediction cache of one gateway replica: its own memory, then Redis, then the version, asked once at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from redis.asyncio import Redis

from app.gateway.prediction_cache import codec
from app.gateway.prediction_cache.cache_stats import CacheStats
from app.gateway.prediction_cache.codec import Outputs
from app.gateway.prediction_cache.local_entries import LocalEntries
from app.gateway.prediction_cache.shared_entries import SharedEntries
from app.settings import CacheSettings

Source = Literal["local", "shared", "computed"]


@dataclass(frozen=True, slots=True)
class CachedOutputs:
    """All outputs of the version, read-only, and where they came from; of a waiter: where its leader's did."""

    outputs: Outputs
    source: Source


class PredictionCache:
    """Answers by key (``key_of``), which names version and application: no answer crosses versions.

    An answer lives for its ttl from the moment it was computed, wherever it is read. Errors are never kept.

    Args:
        redis: a client that answers with bytes; its owner closes it.
        clock: monotonic, seconds; ages the entries in memory.
        now_ms: wall clock of all replicas, milliseconds since the epoch; ages the entries in Redis.
    """

    def __init__(
        self,
        redis: Redis,
        limits: CacheSettings,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.stats = CacheStats()
        self._limits = limits
        self._now_ms = now_ms
        self._local: LocalEntries[Outputs] = LocalEntries(limits.max_bytes, limits.max_entries, clock)
        self._shared = SharedEntries(redis, limits.redis_timeout_s, limits.max_queued_bytes, self.stats, clock)
        self._flights: dict[bytes, asyncio.Future[CachedOutputs | None]] = {}

    @property
    def entries(self) -> int:
        """Entries in this replica's memory."""
        return len(self._local)

    @property
    def held_bytes(self) -> int:
        """Bytes in this replica's memory."""
        return self._local.held_bytes

    def start(self) -> None:
        """Begins to use Redis, on the running loop."""
        self._shared.start()

    async def stop(self) -> None:
        """Leave Redis; answers that wait to be written are dropped and counted."""
        await self._shared.stop()

    async def get_or_compute(
        self, key: bytes, ttl_s: float, compute: Callable[[], Awaitable[Outputs]]
    ) -> CachedOutputs:
        """The answer held for ``key``, or what ``compute`` gives.

        Of concurrent callers with one key the first leads, in its own task and within its own deadline; the others
        wait, each for as long as it likes. What the leader gets they get; what it raises they raise, the very same
        exception. A leader that is cancelled (its deadline passed, its client left) says nothing of the version: the
        next one leads.

        Args:
            ttl_s: seconds that an answer is good for.
            compute: asks the version.

        Raises:
            ValueError: the ttl is not positive.
        """
        if not ttl_s > 0:
            raise ValueError(f"ttl_s {ttl_s!r}: a prediction is kept for more than 0 seconds")
        waited = False
        while (held := self._local.get(key)) is None:
            flight = self._flights.get(key)
            if flight is None:
                return await self._lead(key, ttl_s, compute)
            self.stats.coalesced += not waited
            waited = True
            answer = await asyncio.shield(flight)  # else one waiter's cancellation would cancel it for all
            if answer is not None:
                return _of(answer)
        self.stats.local += not waited
        return CachedOutputs(held.copy(), "local")

    async def _lead(self, key: bytes, ttl_s: float, compute: Callable[[], Awaitable[Outputs]]) -> CachedOutputs:
        flight: asyncio.Future[CachedOutputs | None] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            answer = await self._fetch(key, ttl_s)
            if answer is None:
                self.stats.misses += 1
                answer = CachedOutputs(self._keep(key, ttl_s, await compute()), "computed")
            flight.set_result(answer)
            return _of(answer)
        except Exception as error:
            flight.set_exception(error)
            flight.exception()  # seen, though no caller may be waiting
            raise
        finally:
            del self._flights[key]
            if not flight.done():
                flight.set_result(None)

    async def _fetch(self, key: bytes, ttl_s: float) -> CachedOutputs | None:
        data = await self._shared.get(key)
        if data is None:
            return None
        try:
            computed_at, outputs = codec.decode(data)
        except ValueError:
            self.stats.corrupt += 1
            return None
        age_s = max(0, self._now_ms() - computed_at) / 1000  # another replica's clock may be ahead
        if age_s >= ttl_s:
            return None
        self.stats.shared += 1
        self._local.put(key, outputs, _size(data, outputs), ttl_s - age_s)
        return CachedOutputs(outputs, "shared")

    def _keep(self, key: bytes, ttl_s: float, outputs: Outputs) -> Outputs:
        if codec.values_bytes(outputs) > self._limits.max_entry_bytes:
            self.stats.too_large += 1
            return codec.frozen(outputs)
        try:
            data = codec.encode(outputs, self._now_ms())
        except codec.NotCacheableError:
            self.stats.unfit += 1
            return codec.frozen(outputs)
        if len(data) > self._limits.max_entry_bytes:
            self.stats.too_large += 1
            return codec.frozen(outputs)
        _, kept = codec.decode(data)  # its arrays share nothing with those of the model
        self._local.put(key, kept, _size(data, kept), ttl_s)
        self._shared.put(key, data, ttl_s)
        return kept


def _of(answer: CachedOutputs) -> CachedOutputs:
    """The answer for one caller, whose dict is its own."""
    return CachedOutputs(answer.outputs.copy(), answer.source)


def _size(data: bytes, outputs: Outputs) -> int:
    return len(data) + codec.ARRAY_OVERHEAD_BYTES * len(outputs)
