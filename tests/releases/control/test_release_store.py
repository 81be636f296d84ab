from __future__ import annotations

import asyncio
import json

import pytest
from redis.asyncio import Redis

from app.releases.control.release_store import AUDIT, ROOT, FencedError, LiveReleaseError, ReleaseStore
from app.releases.model.document import encode
from tests.releases.documents import ordered, release
from tests.support.valkey import redis, valkey, valkey_stack

__all__ = ["redis", "valkey", "valkey_stack"]

BORN = 1.0
"""Before any lease was taken, seconds since the epoch."""


async def test_one_owner_at_a_time_and_every_new_one_has_a_higher_token(redis: Redis) -> None:
    store = ReleaseStore(redis)
    first = await store.acquire("a", 0.2, BORN)
    assert first is not None
    assert await store.acquire("a", 0.2, BORN) == first
    assert await store.acquire("b", 0.2, BORN) is None
    async with asyncio.timeout(5):
        while (second := await store.acquire("b", 5, BORN)) is None:
            await asyncio.sleep(0.02)
    assert second > first
    await store.give_up("a")
    assert await store.acquire("a", 5, BORN) is None
    await store.give_up("b")
    assert (await store.acquire("a", 5, BORN) or 0) > second


async def test_who_was_started_to_replace_the_holder_need_not_wait_for_its_lease(redis: Redis) -> None:
    store = ReleaseStore(redis)
    old = await store.acquire("old", 60, BORN)
    assert old is not None
    await store.create(release(), old)
    later = old / 1000 + 1
    new = await store.acquire("new", 60, later)
    assert new is not None
    assert new > old
    assert await store.acquire("new", 60, later) == new
    assert await store.acquire("old", 60, BORN) is None
    with pytest.raises(FencedError):
        await store.save(release(), ordered(release(), "cancel", "key", 1.0), old)


async def test_a_fenced_writer_changes_nothing(redis: Redis) -> None:
    store = ReleaseStore(redis)
    old = await store.acquire("a", 5, BORN)
    assert old is not None
    await store.create(release(), old)
    await store.give_up("a")
    new = await store.acquire("b", 5, BORN)
    with pytest.raises(FencedError):
        await store.save(release(), ordered(release(), "cancel", "key", 1.0), old)
    assert await store.read("r1") == release()
    await store.save(release(), ordered(release(), "cancel", "key", 1.0), new or 0)
    assert (await store.read("r1")) == ordered(release(), "cancel", "key", 1.0)


async def test_one_release_of_a_model_at_a_time(redis: Redis) -> None:
    store = ReleaseStore(redis)
    token = await store.acquire("a", 5, BORN) or 0
    await store.create(release(), token)
    with pytest.raises(LiveReleaseError, match="flights has a release under way: r1"):
        await store.create(release(id="r2"), token)
    await store.create(release(id="r3", model="other"), token)
    assert [found.id for found in await store.live()] == ["r1", "r3"]
    ended = release(phase="promoted", ended=9.0)
    await store.save(release(), ended, token)
    await store.create(release(id="r2", created=1.0), token)
    assert [found.id for found in await store.newest(10)] == ["r2", "r3", "r1"]
    assert [found.id for found in await store.live()] == ["r3", "r2"]


async def test_a_release_whose_beginning_redis_lost_is_there_again_once_it_is_saved(redis: Redis) -> None:
    store = ReleaseStore(redis)
    token = await store.acquire("a", 5, BORN) or 0
    await store.save(release(), release(), token)
    assert [found.id for found in await store.live()] == ["r1"]
    with pytest.raises(LiveReleaseError, match="flights has a release under way: r1"):
        await store.create(release(id="r2"), token)


async def test_the_audit_log_says_who_did_what_from_where_to_where(redis: Redis) -> None:
    store = ReleaseStore(redis)
    token = await store.acquire("a", 5, BORN) or 0
    await store.create(release(), token)
    back = ordered(release(), "rollback", "ab12", 7.0)
    await store.save(release(), back, token)
    await store.save(back, back, token)
    entries = await store.audit(10, "flights")
    assert [(entry.who, entry.before, entry.after, entry.at) for entry in entries] == [
        ("ab12", "preparing", "restoring", 7.0)
    ]
    assert await store.audit(10, "other") == []


async def test_an_unreadable_release_does_not_hide_the_others(redis: Redis) -> None:
    store = ReleaseStore(redis)
    token = await store.acquire("a", 5, BORN) or 0
    await store.create(release(), token)
    await store.create(release(id="r2", model="other"), token)
    await redis.set("tidegate:{releases}:doc:r1", b"{}")
    assert [found.id for found in await store.live()] == ["r2"]


async def test_audit_entries_of_other_versions_are_read(redis: Redis) -> None:
    newer = {"schema": 2, "at": 2.0, "who": "ci", "model": "flights", "what": "newer", "reason": "x"}
    for document in (json.dumps(newer), '{"at": 1.0, "who": "ci", "model": "flights"}', "not an entry"):
        await redis.xadd(AUDIT, {"entry": document})
    found = await ReleaseStore(redis).audit(10)
    assert [(entry.what, entry.after) for entry in found] == [("", ""), ("newer", "")]


async def test_a_release_of_a_newer_version_keeps_its_fields_in_redis(redis: Redis) -> None:
    store = ReleaseStore(redis)
    token = await store.acquire("first", 60, 0.0)
    assert token is not None
    await store.create(release(), token)
    document = json.loads(encode(release())) | {"schema": 2, "budget": 7}
    await redis.set(f"{ROOT}:doc:r1", json.dumps(document))
    held = await store.read("r1")
    assert held is not None
    await store.save(held, ordered(held, "pause", "key", 1.0), token)
    written = await redis.get(f"{ROOT}:doc:r1")
    assert written is not None
    stored = json.loads(written)
    assert (stored["paused"], stored["schema"], stored["budget"]) == (True, 2, 7)
