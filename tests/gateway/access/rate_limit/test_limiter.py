"""The limiter over a real Valkey: what two replicas let through together, and what they do without it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from app.errors import ResourceExhaustedError
from app.gateway.access.rate_limit import RateLimiter
from app.gateway.access.rate_limit import limiter as module
from app.gateway.access.rate_limit.bucket import LEASE_S, LOT_S
from app.gateway.access.rate_limit.shared_buckets import SharedBuckets, Taken, key_of
from app.redis_client import connect
from app.settings import RedisSettings
from app.web.keys import Caller, Limit
from tests.support.eventually import eventually

REPLICAS = 2


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for a while is no server that is away."""
    monkeypatch.setattr(module, "RATE_LIMITER_DEADLINE_S", 10.0)


@pytest.fixture
async def pair(valkey: RedisSettings, redis: Redis) -> AsyncIterator[list[RateLimiter]]:
    """Two replicas' limiters."""
    limiters = [RateLimiter(connect(valkey), REPLICAS) for _ in range(REPLICAS)]
    yield limiters
    for limiter in limiters:
        await limiter.stop()


async def passes(limiter: RateLimiter, caller: Caller) -> bool:
    try:
        await limiter.admit(caller)
    except ResourceExhaustedError:
        return False
    return True


async def press(limiters: list[RateLimiter], caller: Caller, seconds: float, at_once: int = 8) -> tuple[int, float]:
    """Many requests from many clients for a while. Returns how many passed, and in which time, seconds."""
    started = time.monotonic()
    passed = 0

    async def client(limiter: RateLimiter) -> None:
        nonlocal passed
        while time.monotonic() < started + seconds:
            through = await passes(limiter, caller)
            passed += through
            await asyncio.sleep(0.001)

    await asyncio.gather(*(client(limiter) for limiter in limiters for _ in range(at_once)))
    return passed, time.monotonic() - started


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(("rate", "burst"), [(200, 50), (1000, 200), (20, 3)])
async def test_two_replicas_share_one_limit(pair: list[RateLimiter], rate: float, burst: int) -> None:
    limit = Limit(rate, burst)
    caller = Caller("mobile", "k1", limit)
    passed, seconds = await press(pair, caller, 1.0)
    assert passed <= rate * seconds + burst
    assert passed >= 0.4 * rate * seconds + burst - REPLICAS, "nor much less"
    later, seconds = await press(pair, caller, 0.5)
    assert later <= rate * seconds + REPLICAS * rate * LOT_S + 1
    calls = sum(limiter.stats().calls for limiter in pair)
    assert calls < 400, "an empty bucket is not asked by every request"


@pytest.mark.usefixtures("patient")
async def test_one_busy_replica_gets_the_whole_limit(pair: list[RateLimiter]) -> None:
    passed, seconds = await press(pair[:1], Caller("mobile", "k1", Limit(400, 40)), 0.5)
    assert 40 + 0.4 * 400 * seconds <= passed <= 40 + 400 * seconds


@pytest.mark.usefixtures("patient")
async def test_requests_that_wait_share_one_call(pair: list[RateLimiter]) -> None:
    caller = Caller("mobile", "k1", Limit(1000, 400))
    assert all(await asyncio.gather(*(passes(pair[0], caller) for _ in range(200))))
    assert pair[0].stats().calls <= 3


@pytest.mark.usefixtures("patient")
async def test_a_refusal_names_key_rate_and_retry_after(pair: list[RateLimiter]) -> None:
    caller = Caller("mobile", "k1", Limit(0.25, 2))
    assert [await passes(pair[0], caller) for _ in range(2)] == [True, True]
    with pytest.raises(
        ResourceExhaustedError, match=r"'mobile' may make 0\.25 requests a second, 2 at once"
    ) as refused:
        await pair[1].admit(caller)
    assert refused.value.status == 429
    assert refused.value.retry_after_s == 4
    assert refused.value.headers == {"retry-after": "4"}
    assert pair[1].stats().refused == 1


@pytest.mark.usefixtures("patient")
async def test_keys_have_buckets_of_their_own_and_a_key_without_a_limit_has_none(pair: list[RateLimiter]) -> None:
    assert await passes(pair[0], Caller("a", "a", Limit(0.1, 1)))
    assert not await passes(pair[0], Caller("a", "a", Limit(0.1, 1)))
    assert await passes(pair[0], Caller("b", "b", Limit(0.1, 1)))
    calls = pair[0].stats().calls
    for _ in range(100):
        await pair[0].admit(Caller("free", "free"))
    assert pair[0].stats().calls == calls


async def test_an_unused_lot_of_tokens_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    limiter = RateLimiter(Redis(), 1, clock=lambda: now)
    given = iter([10, 10, 0])

    async def take(_self: SharedBuckets, key_id: str, limit: Limit, wanted: int) -> Taken:
        return Taken(next(given), 0.0)

    monkeypatch.setattr(SharedBuckets, "take", take)
    caller = Caller("mobile", "k1", Limit(100, 40))
    assert await passes(limiter, caller)
    now += LEASE_S - 0.1
    assert await passes(limiter, caller)
    assert limiter.stats().calls == 1, "still the first lot"
    now += 0.2
    assert [await passes(limiter, caller) for _ in range(11)] == [True] * 10 + [False]
    assert limiter.stats().calls == 3
    assert not await passes(limiter, caller)
    assert limiter.stats().calls == 3, "an empty bucket is left alone for a while"
    await limiter.stop()


async def test_a_full_bucket_is_removed_from_redis(redis: Redis) -> None:
    taken = await SharedBuckets(redis).take("k1", Limit(100, 10), 4)
    assert (taken.given, taken.left) == (4, 6)
    assert 0 < await redis.pttl(key_of("k1")) <= 1040


async def test_while_redis_is_away_each_replica_admits_its_share_and_later_they_share_again(
    pair: list[RateLimiter], valkey_pid: Callable[[], int]
) -> None:
    caller = Caller("mobile", "k1", Limit(200, 40))
    assert await passes(pair[0], caller)
    assert await passes(pair[1], caller)
    pid = valkey_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        passed, seconds = await press(pair, caller, 1.0)
        assert all(limiter.stats().local for limiter in pair)
        assert time.monotonic() - started < 2, "one deadline, not one for each request"
        lots = REPLICAS * 10  # taken before
        assert 0.5 * 200 * (seconds - 0.5) <= passed <= 200 * seconds + 40 + lots
    finally:
        os.kill(pid, signal.SIGKILL)  # ends a stopped process too; the supervisor starts another

    def shared_again() -> bool:
        return not any(limiter.stats().local for limiter in pair)

    async with asyncio.timeout(30):
        while not shared_again():
            for limiter in pair:
                await passes(limiter, caller)
            await asyncio.sleep(0.01)
    decided = [limiter.stats().decided_locally for limiter in pair]
    passed, seconds = await press(pair, caller, 0.5)
    assert passed <= 200 * seconds + 40 + lots
    assert [limiter.stats().decided_locally for limiter in pair] == decided
    await eventually(shared_again)


@pytest.mark.timeout(60)
async def test_a_failed_call_leaves_no_waiting_request_in_a_loop(
    monkeypatch: pytest.MonkeyPatch, valkey: RedisSettings
) -> None:
    """On a machine so slow that between a call's end and the next request the bucket may be asked again."""

    async def nothing(key_id: str, limit: Limit, wanted: int) -> Taken:
        return Taken(0, 0.0)

    clock = itertools.count(step=1000.0)
    limiter = RateLimiter(connect(valkey), REPLICAS, clock=lambda: float(next(clock)))
    monkeypatch.setattr(limiter._shared, "take", nothing)
    caller = Caller("mobile", "k1", Limit(20, 4))

    async def one_turn_later() -> bool:
        await asyncio.sleep(0)
        return await passes(limiter, caller)

    assert all(await asyncio.gather(passes(limiter, caller), one_turn_later())), "by its own bucket"
    await limiter.stop()
