"""A replay's time: how it runs, and that rows, reads and expiry follow it."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from app.features import (
    FeatureCheckpoint,
    FeatureStoreError,
    OnlineStore,
    ReplayClock,
    Row,
    RowStatus,
    ViewRequest,
    Written,
)
from app.features.entity import key_of
from app.features.replay_clock import CLOCK_KEY, ClockError
from tests.features.views import NOW, SECOND, TAIL

PAST = NOW - 10**8 * SECOND


@pytest.mark.parametrize(
    ("speed", "waited", "passed"), [(0, 100, 0), (1, 100, 100), (60, 2, 120), (0.5, 3, 1.5), (60, -9, 0)]
)
def test_time_passes_by_the_speed(speed: float, waited: int, passed: float) -> None:
    assert ReplayClock(PAST, NOW, speed).at(NOW + waited * SECOND) == PAST + passed * SECOND


@pytest.mark.parametrize("data", [b"", b"{}", b'{"event":-1,"wall":0,"speed":1}', b'{"event":1,"wall":0,"speed":-1}'])
def test_bytes_that_are_no_clock_are_refused(data: bytes) -> None:
    with pytest.raises(ClockError, match="holds no clock"):
        ReplayClock.unpack(data)


async def test_reads_and_writes_follow_the_replay(redis: Redis) -> None:
    wall = NOW
    store = OnlineStore(redis, timeout_s=5, clock=lambda: wall)
    checkpoint = FeatureCheckpoint(redis, store, lease_s=60, clock=lambda: wall)
    row = Row(PAST, (1.0, 1))
    assert await store.write(TAIL, [(("N1",), row)]) == Written(0, 0, 1)  # by the wall clock it is three years old
    await checkpoint.move(PAST, 10.0, "replay")
    assert await store.write(TAIL, [(("N1",), row)]) == Written(1, 0, 0)
    assert TAIL.ttl * 1000 - 5000 < await redis.pttl(key_of(TAIL, ("N1",))) <= TAIL.ttl * 1000 + 1
    for waited, status in (
        (0, RowStatus.FRESH),
        (TAIL.ttl // 10, RowStatus.FRESH),
        (TAIL.ttl // 10 + 1, RowStatus.STALE),
    ):
        wall = NOW + waited * SECOND
        (answer,) = await store.read([ViewRequest(TAIL, [("N1",)])])
        assert (answer.read_at, answer.rows[0].status) == (PAST + waited * 10 * SECOND, status)
        assert await store.now() == answer.read_at


async def test_the_clock_ends_with_its_lease_and_the_position_stays(redis: Redis) -> None:
    store = OnlineStore(redis, timeout_s=5)
    checkpoint = FeatureCheckpoint(redis, store, lease_s=60)
    await checkpoint.move(PAST, 0.0, "replay")
    assert 50_000 < await redis.pttl(CLOCK_KEY) <= 60_000
    assert await checkpoint.position("replay") == PAST
    assert await checkpoint.position("another") is None
    await redis.delete(CLOCK_KEY)
    assert await store.now() > NOW
    assert await checkpoint.position("replay") == PAST
    await checkpoint.forget()
    assert await checkpoint.position("replay") is None


async def test_unreadable_clock_is_an_error_and_no_time(redis: Redis) -> None:
    store = OnlineStore(redis, timeout_s=5)
    await redis.set(CLOCK_KEY, b"noon")
    with pytest.raises(FeatureStoreError, match="holds no clock"):
        await store.read([ViewRequest(TAIL, [("N1",)])])
    with pytest.raises(FeatureStoreError, match="holds no clock"):
        await store.write(TAIL, [(("N1",), Row(NOW, (1.0, 1)))])
