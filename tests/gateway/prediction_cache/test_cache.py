"""The cache over a real Valkey: two replicas, one computation at a time, ttl, limits, and a server that is away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from app.gateway.prediction_cache import CachedOutputs, PredictionCache
from app.gateway.prediction_cache.codec import Outputs
from app.gateway.prediction_cache.shared_entries import AWAY_S, PREFIX
from app.routing.route_store import connect
from app.settings import CacheSettings, RedisSettings

KEY = b"k" * 16
TTL_S = 60.0
LIMITS = CacheSettings(redis_timeout_s=5)
QUICK = LIMITS.model_copy(update={"redis_timeout_s": 0.05})


class Model:
    """Computes 1, 2, 3, …; holds its answers back until it may go on."""

    def __init__(self, *, held: bool = False, error: Exception | None = None) -> None:
        self.calls = 0
        self.error = error
        self.go = asyncio.Event()
        if not held:
            self.go.set()

    async def __call__(self) -> Outputs:
        self.calls += 1
        call = self.calls
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return {"score": np.array([float(call)]), "label": np.array(["late"], dtype=object)}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def ms(self) -> int:
        return int(self.now * 1000)


def score(answer: CachedOutputs) -> tuple[float, str]:
    assert answer.outputs["label"].tolist() == ["late"]
    return float(answer.outputs["score"][0]), answer.source


async def eventually(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def replica(
    valkey: RedisSettings, limits: CacheSettings = LIMITS, **clocks: Any
) -> AsyncIterator[PredictionCache]:
    client = connect(valkey)
    cache = PredictionCache(client, limits, **clocks)
    cache.start()
    yield cache
    await cache.stop()
    await client.aclose()


def aged(valkey: RedisSettings, clock: Clock) -> AbstractAsyncContextManager[PredictionCache]:
    return replica(valkey, clock=clock, now_ms=clock.ms)


@pytest.fixture
async def cache(valkey: RedisSettings, redis: Redis) -> AsyncIterator[PredictionCache]:
    async with replica(valkey) as found:
        yield found


async def waiting(cache: PredictionCache, count: int) -> None:
    await eventually(lambda: cache.stats.coalesced == count)


async def test_an_answer_is_computed_once_for_two_replicas(
    valkey: RedisSettings, redis: Redis, cache: PredictionCache
) -> None:
    model = Model()
    assert score(await cache.get_or_compute(KEY, TTL_S, model)) == (1, "computed")
    assert score(await cache.get_or_compute(KEY, TTL_S, model)) == (1, "local")
    await eventually(lambda: cache.stats.stored == 1)
    async with replica(valkey) as other:
        assert score(await other.get_or_compute(KEY, TTL_S, model)) == (1, "shared")
        assert score(await other.get_or_compute(KEY, TTL_S, model)) == (1, "local")
        assert (other.stats.shared, other.stats.local, other.stats.misses, other.stats.stored) == (1, 1, 0, 0)
    assert model.calls == 1
    assert (cache.stats.misses, cache.stats.local, cache.stats.shared, cache.entries) == (1, 1, 0, 1)
    (name,) = await redis.keys("*")
    assert name == PREFIX + KEY
    assert TTL_S * 1000 - 5000 < await redis.pttl(name) <= TTL_S * 1000


async def test_many_keys_at_once_share_calls_of_redis(
    valkey: RedisSettings, redis: Redis, cache: PredictionCache
) -> None:
    keys = [bytes([number]) * 16 for number in range(40)]
    model = Model()
    answers = [score(await cache.get_or_compute(key, TTL_S, model)) for key in keys]
    assert answers == [(number + 1, "computed") for number in range(40)]
    await eventually(lambda: cache.stats.stored == 40)
    before = (await redis.info("commandstats"))["cmdstat_mget"]["calls"]
    async with replica(valkey) as other:
        found = await asyncio.gather(*(other.get_or_compute(key, TTL_S, model) for key in keys))
    assert [score(answer) for answer in found] == [(number + 1, "shared") for number in range(40)]
    assert (await redis.info("commandstats"))["cmdstat_mget"]["calls"] - before <= 2


async def test_fifty_callers_make_one_computation(cache: PredictionCache) -> None:
    model = Model(held=True)
    calls = [asyncio.create_task(cache.get_or_compute(KEY, TTL_S, model)) for _ in range(50)]
    await waiting(cache, 49)
    model.go.set()
    answers = await asyncio.gather(*calls)
    assert {score(answer) for answer in answers} == {(1, "computed")}
    assert model.calls == 1
    assert (cache.stats.misses, cache.stats.coalesced, cache.stats.local) == (1, 49, 0)


async def test_other_keys_do_not_wait(cache: PredictionCache) -> None:
    slow = asyncio.create_task(cache.get_or_compute(KEY, TTL_S, held := Model(held=True)))
    await eventually(lambda: held.calls == 1)
    assert score(await cache.get_or_compute(b"o" * 16, TTL_S, Model())) == (1, "computed")
    held.go.set()
    assert score(await slow) == (1, "computed")


async def test_no_caller_can_change_what_another_sees(cache: PredictionCache) -> None:
    mine = np.array([1.0])

    async def compute() -> Outputs:
        return {"score": mine, "label": np.array(["late"], dtype=object)}

    first = await cache.get_or_compute(KEY, TTL_S, compute)
    mine[0] = 9
    for name in ("score", "label"):
        with pytest.raises(ValueError, match="read-only"):
            first.outputs[name][0] = 9
    first.outputs["score"] = np.array([9.0])
    del first.outputs["label"]
    assert score(await cache.get_or_compute(KEY, TTL_S, compute)) == (1, "local")


async def test_an_error_reaches_all_who_wait_and_is_not_kept(cache: PredictionCache) -> None:
    error = RuntimeError("broken")
    model = Model(held=True, error=error)
    calls = [asyncio.create_task(cache.get_or_compute(KEY, TTL_S, model)) for _ in range(5)]
    await waiting(cache, 4)
    model.go.set()
    assert await asyncio.gather(*calls, return_exceptions=True) == [error] * 5
    assert model.calls == 1
    model.error = None
    assert score(await cache.get_or_compute(KEY, TTL_S, model)) == (2, "computed")


async def test_a_cancelled_leader_hands_the_computation_on(cache: PredictionCache) -> None:
    model = Model(held=True)
    calls = [asyncio.create_task(cache.get_or_compute(KEY, TTL_S, model)) for _ in range(10)]
    await waiting(cache, 9)
    await eventually(lambda: model.calls == 1)
    calls[0].cancel()
    await eventually(lambda: model.calls == 2)
    model.go.set()
    assert {score(answer) for answer in await asyncio.gather(*calls[1:])} == {(2, "computed")}
    assert calls[0].cancelled()
    assert (model.calls, cache.stats.coalesced) == (2, 9)


async def test_a_waiter_ends_at_its_own_deadline(cache: PredictionCache) -> None:
    model = Model(held=True)
    leader = asyncio.create_task(cache.get_or_compute(KEY, TTL_S, model))
    await eventually(lambda: model.calls == 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await cache.get_or_compute(KEY, TTL_S, model)
    patient = asyncio.create_task(cache.get_or_compute(KEY, TTL_S, model))
    await waiting(cache, 2)
    model.go.set()
    assert score(await leader) == score(await patient) == (1, "computed")


async def test_a_leader_that_times_out_fails_no_waiter(cache: PredictionCache) -> None:
    model = Model(held=True)

    async def hasty() -> CachedOutputs:
        async with asyncio.timeout(0.05):
            return await cache.get_or_compute(KEY, TTL_S, model)

    leader = asyncio.create_task(hasty())
    await eventually(lambda: model.calls == 1)
    patient = asyncio.create_task(cache.get_or_compute(KEY, TTL_S, model))
    await eventually(lambda: model.calls == 2)
    with pytest.raises(TimeoutError):
        await leader
    model.go.set()
    assert score(await patient) == (2, "computed")


async def test_an_answer_lives_for_its_ttl_wherever_it_is_read(valkey: RedisSettings, redis: Redis) -> None:
    clock, model = Clock(), Model()
    async with aged(valkey, clock) as one, aged(valkey, clock) as other:
        await one.get_or_compute(KEY, TTL_S, model)
        await eventually(lambda: one.stats.stored == 1)
        clock.now += TTL_S - 1
        assert score(await one.get_or_compute(KEY, TTL_S, model)) == (1, "local")
        assert score(await other.get_or_compute(KEY, TTL_S, model)) == (1, "shared")
        clock.now += 1  # Redis, whose clock goes on as ever, has the entry still
        assert score(await other.get_or_compute(KEY, TTL_S, model)) == (2, "computed")
        assert score(await one.get_or_compute(KEY, TTL_S, model)) in {(2, "shared"), (3, "computed")}


async def test_a_shorter_ttl_holds_for_entries_that_are_in_redis(valkey: RedisSettings, redis: Redis) -> None:
    clock, model = Clock(), Model()
    async with aged(valkey, clock) as one, aged(valkey, clock) as other:
        await one.get_or_compute(KEY, TTL_S, model)
        await eventually(lambda: one.stats.stored == 1)
        clock.now += 10
        assert score(await other.get_or_compute(KEY, 10, model)) == (2, "computed")


async def test_an_entry_in_redis_expires_after_its_ttl(redis: Redis, cache: PredictionCache) -> None:
    await cache.get_or_compute(KEY, 0.3, Model())
    await eventually(lambda: cache.stats.stored == 1)
    async with asyncio.timeout(10):
        while await redis.exists(PREFIX + KEY):
            await asyncio.sleep(0.02)
    assert score(await cache.get_or_compute(KEY, TTL_S, Model())) == (1, "computed")
    assert cache.stats.misses == 2


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan")])
async def test_a_ttl_of_zero_is_refused(cache: PredictionCache, ttl_s: float) -> None:
    with pytest.raises(ValueError, match="more than 0 seconds"):
        await cache.get_or_compute(KEY, ttl_s, Model())


@pytest.mark.parametrize(
    ("outputs", "counter"),
    [
        ({"a": np.zeros(1000)}, "too_large"),
        ({"a": np.array(["x" * 8000], dtype=object)}, "too_large"),
        ({"a": np.array([1j])}, "unfit"),
    ],
)
async def test_outputs_that_cannot_be_cached_are_returned_and_counted(
    valkey: RedisSettings, redis: Redis, outputs: Outputs, counter: str
) -> None:
    async def compute() -> Outputs:
        return outputs

    async with replica(valkey, LIMITS.model_copy(update={"max_entry_bytes": 4000})) as cache:
        for _ in range(2):
            answer = await cache.get_or_compute(KEY, TTL_S, compute)
            assert answer.source == "computed"
            assert not answer.outputs["a"].flags.writeable
        assert (getattr(cache.stats, counter), cache.stats.misses, cache.entries) == (2, 2, 0)
        await cache.get_or_compute(b"o" * 16, TTL_S, Model())
        await eventually(lambda: cache.stats.stored == 1)  # writes are in order: nothing of the others
    assert await redis.dbsize() == 1


async def test_an_unreadable_entry_is_counted_and_replaced(redis: Redis, cache: PredictionCache) -> None:
    await redis.set(PREFIX + KEY, b"what is this")
    assert score(await cache.get_or_compute(KEY, TTL_S, Model())) == (1, "computed")
    assert (cache.stats.corrupt, cache.stats.misses) == (1, 1)
    await eventually(lambda: cache.stats.stored == 1)
    assert await redis.get(PREFIX + KEY) != b"what is this"


async def test_a_full_queue_drops_and_counts(valkey: RedisSettings, redis: Redis) -> None:
    async with replica(valkey, LIMITS.model_copy(update={"max_queued_bytes": 1000})) as cache:
        calls = [cache.get_or_compute(bytes([number]) * 16, TTL_S, Model()) for number in range(20)]
        assert {score(answer) for answer in await asyncio.gather(*calls)} == {(1, "computed")}
        await eventually(lambda: cache.stats.stored + cache.stats.dropped == 20)
        assert cache.stats.stored > 0
        assert cache.stats.dropped > 0
        assert cache.entries == 20


async def test_a_server_without_memory_refuses_writes_and_reads_go_on(redis: Redis, cache: PredictionCache) -> None:
    await cache.get_or_compute(KEY, TTL_S, Model())
    await eventually(lambda: cache.stats.stored == 1)
    await redis.config_set("maxmemory", 1)
    try:
        assert score(await cache.get_or_compute(b"o" * 16, TTL_S, Model())) == (1, "computed")
        await eventually(lambda: cache.stats.dropped == 1)
        assert cache.stats.redis_errors == 1
        cache._local.put(KEY, {}, 10**9, 1)  # only Redis has it now
        assert score(await cache.get_or_compute(KEY, TTL_S, Model())) == (1, "shared")
    finally:
        await redis.config_set("maxmemory", 0)


async def test_a_redis_that_hangs_costs_one_deadline_per_pause(
    valkey: RedisSettings, redis: Redis, valkey_pid: Callable[[], int]
) -> None:
    clock = Clock()
    async with replica(valkey, QUICK, clock=clock) as cache:
        await cache.get_or_compute(b"o" * 16, TTL_S, Model())
        await eventually(lambda: cache.stats.stored == 1)
        pid = valkey_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            assert score(await cache.get_or_compute(KEY, TTL_S, Model())) == (1, "computed")
            await eventually(lambda: cache.stats.redis_errors == 1)
            dropped = cache.stats.dropped
            for number in range(20):
                await cache.get_or_compute(bytes([number]) * 16, TTL_S, Model())
            assert (cache.stats.redis_errors, cache.stats.dropped) == (1, dropped + 20)
            clock.now += AWAY_S
            calls = [cache.get_or_compute(bytes([40 + number]) * 16, TTL_S, Model()) for number in range(20)]
            await asyncio.gather(*calls)
            await eventually(lambda: cache.stats.redis_errors == 2)
        finally:
            os.kill(pid, signal.SIGCONT)
        clock.now += AWAY_S
        await cache.get_or_compute(b"p" * 16, TTL_S, Model())
        await eventually(lambda: cache.stats.stored >= 2)


async def test_a_killed_redis_fails_no_request_and_is_used_again(
    valkey: RedisSettings, redis: Redis, valkey_pid: Callable[[], int]
) -> None:
    async with replica(valkey, LIMITS.model_copy(update={"redis_timeout_s": 0.5})) as one, replica(valkey) as other:
        number = 0

        async def look_up() -> bytes:
            nonlocal number
            number += 1
            key = number.to_bytes(16, "big")
            assert score(await one.get_or_compute(key, TTL_S, Model())) == (1, "computed")
            return key

        await look_up()
        await eventually(lambda: one.stats.stored == 1)
        os.kill(valkey_pid(), signal.SIGKILL)  # the supervisor starts another
        async with asyncio.timeout(20):
            while not one.stats.redis_errors:
                await look_up()
                await asyncio.sleep(0.001)
            while one.stats.stored < 2:
                await look_up()
                await asyncio.sleep(0.02)
        stored = one.stats.stored
        last = await look_up()
        await eventually(lambda: one.stats.stored == stored + 1)
        assert score(await other.get_or_compute(last, TTL_S, Model())) == (1, "shared")
        assert one.stats.misses == number
        assert one.stats.stored + one.stats.dropped == number


async def test_without_redis_each_replica_caches_by_itself(valkey: RedisSettings) -> None:
    nowhere = valkey.model_copy(update={"url": "redis://127.0.0.1:1/0"})
    async with replica(nowhere) as cache:
        model = Model()
        assert score(await cache.get_or_compute(KEY, TTL_S, model)) == (1, "computed")
        assert score(await cache.get_or_compute(KEY, TTL_S, model)) == (1, "local")
        assert (cache.stats.redis_errors, cache.stats.dropped, cache.stats.stored) == (1, 1, 0)


async def test_entries_waiting_at_the_end_are_counted(valkey: RedisSettings, redis: Redis) -> None:
    async with replica(valkey) as cache:
        await asyncio.gather(*(cache.get_or_compute(bytes([n]) * 16, TTL_S, Model()) for n in range(200)))
    assert cache.stats.stored + cache.stats.dropped == 200
    assert await redis.dbsize() >= cache.stats.stored
