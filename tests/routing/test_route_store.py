"""Route tables in a real Valkey: compare-and-set, the watch, and a server that is away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.routing.route_store import RevisionConflictError, RouteStore, RouteWatch, connect, key_of
from app.routing.route_table import RouteTable, new_table, with_version, with_weights
from app.settings import RedisSettings
from tests.support.eventually import eventually

QUICK = 0.1


@pytest.fixture
async def watch(valkey: RedisSettings, redis: Redis) -> AsyncIterator[RouteWatch]:
    found = RouteWatch(connect(valkey), QUICK)
    found.start()
    yield found
    await found.stop()


def first(model: str = "flights") -> RouteTable:
    return with_weights(with_version(new_table(model, 1), "1", f"{model}-v1-a", 1), {"1": 1.0}, 1)


async def test_reads_what_was_written(redis: Redis) -> None:
    store = RouteStore(redis)
    assert await store.read("flights") is None
    assert await store.read_all() == {}
    held = first()
    await store.write(0, held)
    assert await store.read("flights") == held
    assert list(await store.read_all()) == ["flights"]


async def test_a_write_from_an_older_revision_is_refused(redis: Redis) -> None:
    store = RouteStore(redis)
    held = first()
    await store.write(0, held)
    other = first()
    with pytest.raises(RevisionConflictError, match="no longer at revision 0"):
        await store.write(0, other)
    newer = with_weights(held, {"1": 1.0}, 10_000)
    await store.write(held.revision, newer)
    with pytest.raises(RevisionConflictError):
        await store.write(held.revision, with_weights(held, {"1": 1.0}, 20_000))
    assert await store.read("flights") == newer


async def test_a_write_whose_reply_was_lost_is_no_conflict(redis: Redis) -> None:
    """The client sends a command again when no reply came; the second time the revision is the new one."""
    store = RouteStore(redis)
    held = first()
    await store.write(0, held)
    await store.write(0, held)
    assert await store.read("flights") == held


async def test_a_document_that_cannot_be_read_leaves_the_other_models_alone(redis: Redis, watch: RouteWatch) -> None:
    store = RouteStore(redis)
    await store.write(0, first("broken"))
    await redis.set(key_of("broken"), b"{not a table")
    await store.write(0, first())
    await watch.refresh()
    assert set(watch.tables) >= {"flights"}
    assert list(await store.read_all()) == ["flights"]


async def test_changes_made_at_once_are_all_made(redis: Redis) -> None:
    store = RouteStore(redis)
    await asyncio.gather(
        *(
            store.change(
                "flights",
                lambda table, now, version=str(number): with_version(table, version, f"app-{version}", now),  # type: ignore[misc]
                tries=50,
            )
            for number in range(20)
        )
    )
    found = await store.read("flights")
    assert found is not None
    assert set(found.apps) == {str(number) for number in range(20)}


async def test_the_watch_applies_published_and_unpublished_changes(redis: Redis, watch: RouteWatch) -> None:
    store = RouteStore(redis)
    held = await store.change("flights", lambda table, now: with_version(table, "1", "app", now))
    await eventually(lambda: watch.tables.get("flights") == held)
    silent = with_weights(held, {"1": 1.0}, held.revision + 1)
    await redis.set(key_of("flights"), silent.encode())
    await eventually(lambda: watch.tables["flights"] == silent)


async def test_the_watch_never_applies_an_older_revision(redis: Redis, watch: RouteWatch) -> None:
    store = RouteStore(redis)
    held = await store.change("flights", lambda table, now: with_version(table, "1", "app", now))
    await eventually(lambda: watch.tables.get("flights") == held)
    older = RouteTable("flights", held.revision - 1, "other")
    await redis.set(key_of("flights"), older.encode())
    await watch.refresh()
    assert watch.tables["flights"] == held
    await redis.flushdb()  # a server that lost everything
    await watch.refresh()
    assert watch.tables["flights"] == held


async def test_the_last_good_table_outlives_a_server_that_is_away_and_a_killed_one(
    valkey: RedisSettings, valkey_pid: Callable[[], int], redis: Redis, watch: RouteWatch
) -> None:
    store = RouteStore(redis)
    held = await store.change("flights", lambda table, now: with_version(table, "1", "app", now))
    await eventually(lambda: watch.tables.get("flights") == held)
    pid = valkey_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(RedisError):
            await store.read("flights")
        assert watch.tables["flights"] == held
    finally:
        os.kill(pid, signal.SIGKILL)  # ends a stopped process too; the supervisor starts another

    async def change() -> RouteTable:
        async with asyncio.timeout(30):
            while True:
                try:
                    return await store.change("flights", lambda table, now: with_weights(table, {"1": 1.0}, now))
                except RedisError:
                    await asyncio.sleep(0.05)

    changed = await change()
    assert changed.apps == held.apps  # the append-only file kept the table
    await eventually(lambda: watch.tables["flights"] == changed)
    await eventually(lambda: watch.age_s is not None and watch.age_s < 1)


async def test_a_watch_that_starts_without_redis_reads_once_it_is_there(valkey: RedisSettings, redis: Redis) -> None:
    nobody = RedisSettings(url="redis://127.0.0.1:1/0", password=SecretStr("x"), timeout_s=0.2)
    lost = RouteWatch(connect(nobody), QUICK)
    lost.start()
    await asyncio.sleep(3 * QUICK)
    assert lost.age_s is None
    assert lost.tables == {}
    await lost.stop()
