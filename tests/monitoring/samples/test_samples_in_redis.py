"""Samples on their way through a real Valkey: written by several processes, read by one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Away
from redis.exceptions import RedisError

from app.monitoring.samples import LossBuffer, SampleStore, SampleWriter
from app.monitoring.samples.encoding import decode, encode, key_of
from app.monitoring.sums import Sums
from app.settings import SampleSettings
from tests.monitoring.samples.support import START, Clock, loss_buffer
from tests.support.eventually import eventually


class Process:
    """One that writes."""

    def __init__(self, redis: Redis, clock: Clock, name: str, **limits: int) -> None:
        self.losses = loss_buffer(clock)
        self.writer = SampleWriter(self.losses, redis, name, SampleSettings(**limits), timeout_s=0.5, clock=clock)

    def note(self, *losses: float, release: str = "r") -> None:
        for loss in losses:
            self.losses.add(release, [("errors", "champion", loss)])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(redis: Redis) -> SampleStore:
    return SampleStore(redis)


def errors(n: int, total: float) -> dict[str, Any]:
    return {"errors": {"champion": Sums(n, total, total)}}


async def test_all_writers_of_a_tick_are_added(redis: Redis, clock: Clock, store: SampleStore) -> None:
    one, two = Process(redis, clock, "one"), Process(redis, clock, "two")
    one.note(0, 1)
    two.note(0, 0, 1)
    two.losses.add("r", [("drift", "challenger", 0.5)])
    two.note(1, release="other")
    clock.now += 1
    one.note(0)
    clock.now += 1
    for process in (one, two):
        await process.writer.flush()
    both = {**errors(5, 2.0), "drift": {"challenger": Sums(1, 0.5, 0.25)}}
    assert await store.ticks("r", START) == {START: both}
    assert await store.ticks("r", START + 9) == {START: both, START + 1: errors(1, 0.0)}
    assert 86_000 < await redis.ttl(key_of("r")) <= 86_400
    assert (one.writer.stats().written_ticks, two.writer.stats().written_ticks) == (2, 2)


async def test_a_lost_reply_counts_nothing_twice(
    redis: Redis, clock: Clock, store: SampleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(redis, clock, "one")
    write = process.writer._write

    async def cut_off(**call: Any) -> None:
        await write(**call)
        raise Away("cut off")

    process.note(0, 1)
    clock.now += 1
    monkeypatch.setattr(process.writer, "_write", cut_off)
    with pytest.raises(Away, match="cut off"):
        await process.writer.flush()
    monkeypatch.undo()
    await process.writer.flush()
    assert await store.ticks("r", START) == {START: errors(2, 1.0)}
    assert (process.writer.stats().failed_sends, process.writer.stats().written_ticks) == (1, 1)


async def test_read_ticks_are_deleted_and_a_release_is_dropped(
    redis: Redis, clock: Clock, store: SampleStore
) -> None:
    process = Process(redis, clock, "one")
    for _ in range(3):
        process.note(0)
        clock.now += 1
    await process.writer.flush()
    await store.forget("r", START + 1)
    assert await redis.hlen(key_of("r")) == 1
    assert list(await store.ticks("r", START + 9)) == [START + 2]
    await store.drop("r")
    assert await redis.exists(key_of("r")) == 0
    assert await store.ticks("r", START + 9) == {}


async def test_fields_that_cannot_be_read_are_skipped_counted_and_forgotten(
    redis: Redis, clock: Clock, store: SampleStore, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(redis, clock, "one")
    process.note(1)
    clock.now += 1
    await process.writer.flush()
    unreadable = {
        f"{START}:two": b"\xc1",
        f"{START}:three": encode({"errors": {"champion": Sums(1, 2.0, 2.0)}}),
        "no tick": encode({}),
    }
    await redis.hset(key_of("r"), mapping=unreadable)  # type: ignore[arg-type]
    assert await store.ticks("r", START) == {START: errors(1, 1.0)}
    assert store.unreadable == 3
    assert "field b'no tick', are skipped: b'no tick' is not TICK:WRITER" in caplog.text
    await store.forget("r", START)
    assert await redis.exists(key_of("r")) == 0


@pytest.mark.parametrize(
    "sums", [(-1, 0.0, 0.0), (1, float("nan"), 0.0), (1, 1.5, 1.0), (2, 1.0, 1.5), (1, 0.5, -0.1), (1.5, 0.0, 0.0)]
)
def test_sums_that_no_losses_have_are_refused(sums: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"no samples|no sums of losses"):
        decode(msgspec.msgpack.encode({"errors": {"champion": sums}}))


def test_sums_of_many_floats_are_read() -> None:
    whole = {
        "drift": {"champion": Sums(10, sum([0.1] * 10), sum([0.01] * 10))},
        "errors": {"challenger": Sums(3, 3, 3)},
    }
    assert decode(encode(whole)) == whole  # type: ignore[arg-type]


async def test_unread_samples_stop_at_the_bound_of_fields(redis: Redis, clock: Clock, store: SampleStore) -> None:
    process = Process(redis, clock, "one", max_fields=3)
    for _ in range(5):
        process.note(1)
        clock.now += 1
    await process.writer.flush()
    assert await redis.hlen(key_of("r")) == 3
    stats = process.writer.stats()
    assert (stats.written_ticks, stats.dropped_ticks_full) == (3, 2)
    await store.forget("r", START + 9)
    process.note(0)
    clock.now += 1
    await process.writer.flush()
    assert list((await store.ticks("r", START + 99)).values()) == [errors(1, 0.0)]


async def test_full_hash_accepts_overwrites(redis: Redis, clock: Clock, store: SampleStore) -> None:
    process = Process(redis, clock, "one", max_fields=1)
    process.note(0)
    await process.writer.flush(everything=True)
    process.note(1)
    await process.writer.flush(everything=True)
    assert await store.ticks("r", START) == {START: errors(2, 1.0)}
    assert process.writer.stats().dropped_ticks_full == 0


async def test_redis_away_samples_are_held_and_sent_later(
    redis: Redis, clock: Clock, store: SampleStore, valkey_pid: Callable[[], int]
) -> None:
    process = Process(redis, clock, "one")
    process.note(1)
    clock.now += 1
    os.kill(valkey_pid(), signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            await process.writer.flush()
        process.note(0)
        clock.now += 1
        assert process.writer.stats().failed_sends == 1
        assert process.losses.unsent() == 2
    finally:
        os.kill(valkey_pid(), signal.SIGCONT)
    await process.writer.flush()
    assert await store.ticks("r", START + 9) == {START: errors(1, 1.0), START + 1: errors(1, 0.0)}


async def test_samples_are_sent_again_after_the_server_was_killed(
    redis: Redis, clock: Clock, store: SampleStore, valkey_pid: Any
) -> None:
    process = Process(redis, clock, "one")
    process.note(1)
    clock.now += 1
    await process.writer.flush()
    os.kill(valkey_pid(), signal.SIGKILL)
    process.note(0)
    clock.now += 1
    async with asyncio.timeout(20):
        while process.losses.unsent():
            with suppress(RedisError, OSError):
                await process.writer.flush()
            await asyncio.sleep(0.05)
    assert (await store.ticks("r", START + 9))[START + 1] == errors(1, 0.0)


async def test_each_second_on_the_second_and_a_last_time_at_the_end(redis: Redis, store: SampleStore) -> None:
    held = LossBuffer(60)
    writer = SampleWriter(held, redis, "one", SampleSettings(), timeout_s=0.5)
    writer.start()
    held.add("r", [("errors", "champion", 1.0)])
    await eventually(lambda: writer.stats().written_ticks == 1, timeout_s=5)
    held.add("r", [("errors", "champion", 1.0)])
    await writer.stop()
    found = await store.ticks("r", 2**40)
    assert sum(tick["errors"]["champion"].n for tick in found.values()) == 2
    assert writer.stats().dropped == 0


async def test_samples_left_at_the_end_are_counted_as_dropped(
    redis: Redis, clock: Clock, valkey_pid: Callable[[], int]
) -> None:
    process = Process(redis, clock, "one")
    process.writer.start()
    process.note(1, 1)
    os.kill(valkey_pid(), signal.SIGSTOP)
    try:
        await process.writer.stop()
    finally:
        os.kill(valkey_pid(), signal.SIGCONT)
    assert process.writer.stats().dropped == 2
