"""Kept feature rows against a real Valkey: writes are seen, also those that race; a lost connection empties all."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.features.entity import PREFIX
from app.features.tracking import TrackedRows
from app.routing.route_store import connect
from app.settings import RedisSettings

MAX_STALE_S = 5.0
N1, N2, N3 = (f"{PREFIX}:tail:N{number}".encode() for number in (1, 2, 3))


async def eventually(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def tracked(
    client: Redis, max_entries: int = 100, max_stale_s: float = MAX_STALE_S
) -> AsyncIterator[TrackedRows]:
    found = TrackedRows(client, max_entries, max_stale_s)
    found.start()
    async with asyncio.timeout(10):
        await found.tracking.wait()
    yield found
    await found.stop()


@pytest.fixture
async def reader(valkey: RedisSettings, redis: Redis) -> AsyncIterator[Redis]:
    """The reader's own client; ``redis`` is the writer's."""
    client = connect(valkey)
    yield client
    await client.aclose()


@pytest.fixture
async def rows(reader: Redis) -> AsyncIterator[TrackedRows]:
    async with tracked(reader) as found:
        yield found


@pytest.fixture
async def written(reader: Redis, redis: Redis) -> AsyncIterator[TrackedRows]:
    """Rows that were written before tracking began: no word of them is still under way."""
    await redis.mset({N1: b"a", N2: b"b", N3: b""})
    async with tracked(reader) as found:
        yield found


async def mgets(redis: Redis) -> int:
    return int((await redis.info("commandstats")).get("cmdstat_mget", {"calls": 0})["calls"])


async def sees(rows: TrackedRows, key: bytes, value: bytes | None) -> None:
    """Read until the row is there: an invalidation travels for a moment."""
    async with asyncio.timeout(2):
        while await rows.mget([key]) != [value]:
            await asyncio.sleep(0.002)


async def test_a_row_is_fetched_once_and_a_write_is_seen(written: TrackedRows, redis: Redis) -> None:
    rows = written
    await rows.mget([N3])
    before = await mgets(redis)
    assert await rows.mget([N1, N2]) == [b"a", b"b"]
    assert await rows.mget([N2, N1, N3]) == [b"b", b"a", b""]
    assert await mgets(redis) == before + 1
    assert (rows.stats.hits, rows.stats.misses, len(rows)) == (3, 3, 3)
    await redis.set(N1, b"c")
    await sees(rows, N1, b"c")
    assert (await rows.mget([N1, N2]), rows.stats.invalidated) == ([b"c", b"b"], 1)


async def test_hits_and_misses_keep_the_order_asked(written: TrackedRows) -> None:
    rows = written
    await rows.mget([N2])
    assert await rows.mget([N1, N2, N3]) == [b"a", b"b", b""]
    assert await rows.mget([N1, N2, N3]) == [b"a", b"b", b""]
    assert (rows.stats.hits, rows.stats.misses) == (4, 3)


async def test_a_row_that_is_not_there_is_remembered_until_it_is(rows: TrackedRows, redis: Redis) -> None:
    assert await rows.mget([N1]) == [None]
    before = await mgets(redis)
    assert await rows.mget([N1]) == [None]
    assert await mgets(redis) == before
    await redis.set(N1, b"a")
    await sees(rows, N1, b"a")
    await redis.delete(N1)
    await sees(rows, N1, None)


async def test_a_flushed_server_empties_all(rows: TrackedRows, redis: Redis) -> None:
    await redis.set(N1, b"a")
    assert await rows.mget([N1, N2]) == [b"a", None]
    await redis.flushdb()
    await sees(rows, N1, None)
    assert rows.stats.emptied == 1


async def test_keys_of_others_are_not_announced(written: TrackedRows, redis: Redis) -> None:
    rows = written
    await rows.mget([N1, b"elsewhere"])
    await redis.mset({b"elsewhere": b"x", N1: b"b"})
    await sees(rows, N1, b"b")
    assert rows.stats.invalidated == 1


async def test_the_least_recently_used_rows_make_room(reader: Redis, redis: Redis) -> None:
    async with tracked(reader, max_entries=2) as rows:
        await rows.mget([N1, N2])
        await rows.mget([N1])
        await rows.mget([N3])
        assert (len(rows), rows.stats.evicted) == (2, 1)
        await rows.mget([N1, N3])
        assert rows.stats.misses == 3
        assert await rows.mget([N1, N2, N3]) == [None] * 3
        assert (len(rows), rows.stats.misses) == (2, 4)


class Delayed:
    """A client whose MGET replies are held back, after the server answered, until they are let go."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.connection_pool = redis.connection_pool
        self.answered = asyncio.Queue[asyncio.Event]()

    async def mget(self, keys: Sequence[bytes]) -> Any:
        found = await self._redis.mget(list(keys))
        go = asyncio.Event()
        await self.answered.put(go)
        await go.wait()
        return found


async def write_during_a_fetch(rows: TrackedRows, delayed: Delayed, redis: Redis) -> tuple[asyncio.Task[Any], Any]:
    """N1 is fetched as ``old``; before that reply arrives it is written, and the write announced."""
    other = asyncio.create_task(rows.mget([N2]))
    (await delayed.answered.get()).set()
    assert await other == [b"old"]
    assert len(rows) == 1
    fetch = asyncio.create_task(rows.mget([N1]))
    go = await delayed.answered.get()
    await redis.mset({N1: b"new", N2: b"new"})
    await eventually(lambda: rows.stats.invalidated == 1)  # N2, which is told in the same message
    return fetch, go


async def test_a_row_written_while_it_is_fetched_is_not_kept(reader: Redis, redis: Redis) -> None:
    await redis.mset({N1: b"old", N2: b"old"})
    delayed = Delayed(reader)
    async with tracked(delayed) as rows:  # type: ignore[arg-type]
        fetch, go = await write_during_a_fetch(rows, delayed, redis)
        go.set()
        assert await fetch == [b"old"]
        assert (rows.stats.raced, len(rows)) == (1, 0)
        again = asyncio.create_task(rows.mget([N1]))
        (await delayed.answered.get()).set()
        assert await again == [b"new"]


async def test_a_late_fetch_does_not_undo_a_later_one(reader: Redis, redis: Redis) -> None:
    await redis.mset({N1: b"old", N2: b"old"})
    delayed = Delayed(reader)
    async with tracked(delayed) as rows:  # type: ignore[arg-type]
        fetch, go = await write_during_a_fetch(rows, delayed, redis)
        later = asyncio.create_task(rows.mget([N1]))
        later_go = await delayed.answered.get()
        go.set()
        assert await fetch == [b"old"]
        later_go.set()
        assert await later == [b"new"]
        assert await rows.mget([N1]) == [b"new"]
        assert rows.stats.hits == 1


async def test_a_fetch_that_is_given_up_leaves_nothing_behind(reader: Redis, redis: Redis) -> None:
    delayed = Delayed(reader)
    async with tracked(delayed) as rows:  # type: ignore[arg-type]
        fetch = asyncio.create_task(rows.mget([N1]))
        await delayed.answered.get()
        fetch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetch
        assert (len(rows), len(rows._fetching)) == (0, 0)


async def trackers(redis: Redis) -> list[int]:
    return [int(client["id"]) for client in await redis.client_list() if "t" in client["flags"]]


async def test_a_connection_that_the_server_closes_empties_all_and_is_made_again(
    written: TrackedRows, redis: Redis
) -> None:
    rows = written
    assert await rows.mget([N1]) == [b"a"]
    assert len(rows) == 1
    (client,) = await trackers(redis)
    async with redis.pipeline(transaction=True) as pipe:  # nothing tells the reader of this write
        pipe.execute_command("CLIENT", "KILL", "ID", client)
        pipe.set(N1, b"b")
        await pipe.execute()
    await eventually(lambda: rows.stats.lost == 1)
    assert (len(rows), rows.tracking.is_set()) == (0, False)
    assert await rows.mget([N1]) == [b"b"]
    assert (len(rows), rows.stats.bypassed) == (0, 1)
    await eventually(rows.tracking.is_set)
    assert await rows.mget([N1]) == [b"b"]
    await redis.set(N1, b"c")
    await sees(rows, N1, b"c")


async def test_a_killed_server_empties_all_and_rows_are_kept_again(
    reader: Redis, redis: Redis, valkey_pid: Callable[[], int]
) -> None:
    async with tracked(reader, max_stale_s=1) as rows:
        await redis.set(N1, b"a")
        assert await rows.mget([N1]) == [b"a"]
        os.kill(valkey_pid(), signal.SIGKILL)  # the supervisor starts another
        await eventually(lambda: rows.stats.lost >= 1)
        assert not len(rows)
        async with asyncio.timeout(20):
            await rows.tracking.wait()
        for value in (b"b", b"c"):
            async with asyncio.timeout(20):
                while True:
                    with suppress(RedisError, OSError):  # the writer's connections are of the old server
                        await redis.set(N1, value)
                        break
            await sees(rows, N1, value)
        hits = rows.stats.hits
        async with asyncio.timeout(5):
            while rows.stats.hits == hits:
                assert await rows.mget([N1]) == [b"c"]


class HalfOpen:
    """A proxy that can stop carrying anything for the tracking connection, and leave it open."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self.frozen = False

    async def __aenter__(self) -> HalfOpen:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        seen = bytearray()
        for source, sink in ((reader, up_writer), (up_reader, writer)):
            self._tasks.add(asyncio.create_task(self._carry(source, sink, seen)))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, seen: bytearray) -> None:
        while data := await source.read(65536):
            seen += data
            if not (self.frozen and b"TRACKING" in seen):
                sink.write(data)
        sink.close()


async def test_a_connection_that_only_looks_open_serves_nothing_older_than_promised(
    valkey: RedisSettings, redis: Redis
) -> None:
    max_stale_s = 1.0
    address = urlsplit(valkey.url)
    assert address.hostname is not None
    assert address.port is not None
    async with HalfOpen(address.hostname, address.port) as proxy:
        client = connect(valkey.model_copy(update={"url": f"redis://127.0.0.1:{proxy.port}/0"}))
        await redis.set(N1, b"old")
        async with tracked(client, max_stale_s=max_stale_s) as rows:
            assert await rows.mget([N1]) == [b"old"]
            proxy.frozen = True
            await redis.set(N1, b"new")
            changed = stale = time.monotonic()
            async with asyncio.timeout(10):
                while True:
                    at = time.monotonic()
                    if await rows.mget([N1]) != [b"old"]:
                        break
                    stale = at
                    await asyncio.sleep(0.005)
            assert changed < stale <= changed + max_stale_s
            await eventually(lambda: rows.stats.lost >= 1)
            assert await rows.mget([N1]) == [b"new"]
            proxy.frozen = False
            await eventually(rows.tracking.is_set)
        await client.aclose()


async def test_before_tracking_every_read_goes_to_redis(reader: Redis, redis: Redis) -> None:
    rows = TrackedRows(reader, 100, MAX_STALE_S)
    for value in (b"a", b"b"):
        await redis.set(N1, value)
        assert await rows.mget([N1]) == [value]
    assert (rows.stats.bypassed, len(rows)) == (2, 0)
