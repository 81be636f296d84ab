"""Feature rows in a real Valkey: newest wins, ttl, schemas, one MGET, and a server that is away."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from redis.asyncio import Redis

from app.clock import now_us
from app.features import (
    REJECT,
    Entity,
    EntityError,
    Feature,
    FeatureStoreError,
    FeatureView,
    OnlineRow,
    OnlineStore,
    Row,
    RowStatus,
    ViewRequest,
    Written,
)
from app.features.entity import key_of
from app.features.feature_row import RowCodec
from app.features.online import AHEAD_S, BATCH
from app.features.view_rows import MISSING
from app.routing.route_store import connect
from app.settings import RedisSettings
from tests.features.views import BASE, NOW, SECOND, TAIL


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(redis: Redis, clock: Clock) -> OnlineStore:
    return OnlineStore(redis, timeout_s=5, clock=clock)


def tail(last: float, at: int = NOW) -> Row:
    return Row(at, (last, 1))


async def held(store: OnlineStore, view: FeatureView, entity: Entity) -> OnlineRow:
    (answer,) = await store.read([ViewRequest(view, [entity])])
    return answer.rows[0]


async def test_reads_what_was_written_of_several_views(store: OnlineStore, redis: Redis) -> None:
    base = Row(NOW, (0.5, None, "🛬"))
    assert await store.write(TAIL, [(("N1",), tail(1)), (("N2",), tail(2))]) == Written(2, 0, 0)
    assert await store.write(BASE, [(("AA", "J:FK"), base)]) == Written(1, 0, 0)
    before = await redis.info("commandstats")
    tails, bases = await store.read(
        [ViewRequest(TAIL, [("N2",), ("N1",), None, ("N3",), ("N2",)]), ViewRequest(BASE, [("AA", "J:FK")] * 5)]
    )
    after = await redis.info("commandstats")
    fresh = [OnlineRow(RowStatus.FRESH, tail(value)) for value in (1, 2)]
    assert tails.rows == (fresh[1], fresh[0], MISSING, MISSING, fresh[1])
    assert bases.rows == (OnlineRow(RowStatus.FRESH, base),) * 5
    assert (tails.read_at, tails.corrupt, tails.other_schema) == (NOW, 0, 0)
    assert after["cmdstat_mget"]["calls"] - before.get("cmdstat_mget", {"calls": 0})["calls"] == 1
    assert after.get("cmdstat_get") == before.get("cmdstat_get")


async def test_read_without_entities_sends_nothing(store: OnlineStore) -> None:
    assert await store.read([]) == ()
    (answer,) = await store.read([ViewRequest(TAIL, [None])])
    assert answer.rows == (MISSING,)


async def test_entity_without_a_valid_key_is_refused(store: OnlineStore) -> None:
    with pytest.raises(EntityError, match="feature view tail"):
        await store.read([ViewRequest(TAIL, [("N1", "N2")])])
    with pytest.raises(EntityError, match="feature view tail"):
        await store.write(TAIL, [(("",), tail(1))])


async def test_an_older_row_is_skipped_and_of_equal_ones_the_last_holds(store: OnlineStore) -> None:
    entity = ("N1",)
    assert await store.write(TAIL, [(entity, tail(1))]) == Written(1, 0, 0)
    assert await store.write(TAIL, [(entity, tail(2, NOW - 1))]) == Written(0, 1, 0)
    assert await held(store, TAIL, entity) == OnlineRow(RowStatus.FRESH, tail(1))
    assert await store.write(TAIL, [(entity, tail(3))]) == Written(1, 0, 0)
    assert await store.write(TAIL, [(entity, tail(4)), (entity, tail(5)), (entity, tail(6, NOW - 1))]) == Written(
        2, 1, 0
    )
    assert await held(store, TAIL, entity) == OnlineRow(RowStatus.FRESH, tail(5))


async def test_event_times_are_compared_to_the_microsecond(store: OnlineStore) -> None:
    for last, at in ((1, NOW - 1), (2, NOW), (3, NOW - 2)):
        await store.write(TAIL, [(("N1",), tail(last, at))])
    assert await held(store, TAIL, ("N1",)) == OnlineRow(RowStatus.FRESH, tail(2))


async def test_int64_extremes_and_nan_pass_the_script(store: OnlineStore) -> None:
    for at, count in ((NOW - 1, -(2**63)), (NOW, 2**63 - 1), (NOW - 2, 0)):
        await store.write(TAIL, [(("N1",), Row(at, (float("inf"), count)))])
    assert await held(store, TAIL, ("N1",)) == OnlineRow(RowStatus.FRESH, Row(NOW, (float("inf"), 2**63 - 1)))


AGES = st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 2**40), min_size=1, max_size=5), min_size=1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ages=AGES, data=st.data())
async def test_the_order_of_writes_does_not_matter(
    store: OnlineStore, redis: Redis, ages: dict[str, list[int]], data: st.DataObject
) -> None:
    view = replace(TAIL, ttl=2**31 - 1)
    rows = [((entity,), tail(age, NOW - age)) for entity, of_entity in ages.items() for age in of_entity]
    await redis.flushdb()
    await store.write(view, data.draw(st.permutations(rows)))
    (answer,) = await store.read([ViewRequest(view, [(entity,) for entity in ages])])
    newest = {entity: min(of_entity) for entity, of_entity in ages.items()}
    assert answer.rows == tuple(OnlineRow(RowStatus.FRESH, tail(age, NOW - age)) for age in newest.values())


@pytest.mark.parametrize("seed", range(3))
async def test_concurrent_writers_in_any_order_leave_the_newest_rows(
    valkey: RedisSettings, store: OnlineStore, clock: Clock, seed: int
) -> None:
    rows = [((f"N{entity}",), tail(at, NOW - at)) for entity in range(10) for at in range(120)]
    random.Random(seed).shuffle(rows)
    clients = [connect(valkey) for _ in range(4)]
    writers = [OnlineStore(client, timeout_s=30, clock=clock) for client in clients]
    done = await asyncio.gather(*(writer.write(TAIL, rows[place::4]) for place, writer in enumerate(writers)))
    assert sum(one.written + one.skipped for one in done) == len(rows)
    assert sum(one.skipped for one in done) > 0
    (answer,) = await store.read([ViewRequest(TAIL, [(f"N{entity}",) for entity in range(10)])])
    assert answer.rows == (OnlineRow(RowStatus.FRESH, tail(0)),) * 10
    for client in clients:
        await client.aclose()


async def test_more_rows_than_a_batch_and_again(store: OnlineStore, redis: Redis) -> None:
    rows = [((number,), tail(number)) for number in range(2 * BATCH + 1)]
    assert await store.write(TAIL, iter(rows)) == Written(len(rows), 0, 0)
    assert await store.write(TAIL, rows) == Written(len(rows), 0, 0)
    assert await redis.dbsize() == len(rows)
    assert (await held(store, TAIL, (2 * BATCH,))).row == tail(2 * BATCH)
    assert await store.write(TAIL, []) == Written(0, 0, 0)


@pytest.mark.parametrize(
    ("age_s", "written"), [(0, True), (1, True), (TAIL.ttl - 1, True), (TAIL.ttl, True), (TAIL.ttl + 1, False)]
)
async def test_redis_keeps_a_row_for_what_is_left_of_its_ttl(
    store: OnlineStore, redis: Redis, age_s: int, written: bool
) -> None:
    done = await store.write(TAIL, [(("N1",), tail(1, NOW - age_s * SECOND))])
    assert done == (Written(1, 0, 0) if written else Written(0, 0, 1))
    if age_s < TAIL.ttl:
        left_ms = await redis.pttl(key_of(TAIL, ("N1",)))
        assert (TAIL.ttl - age_s) * 1000 - 900 < left_ms <= (TAIL.ttl - age_s) * 1000 + 1


async def test_a_row_is_gone_after_its_ttl(redis: Redis) -> None:
    view = replace(TAIL, ttl=1)
    store = OnlineStore(redis, timeout_s=5)
    await store.write(view, [(("N1",), tail(1, now_us()))])
    assert await redis.exists(key_of(view, ("N1",)))
    async with asyncio.timeout(20):
        while await redis.exists(key_of(view, ("N1",))):
            await asyncio.sleep(0.05)
    assert await held(store, view, ("N1",)) == MISSING


async def test_a_row_past_its_ttl_is_stale_though_redis_still_has_it(store: OnlineStore, clock: Clock) -> None:
    await store.write(TAIL, [(("N1",), tail(1))])
    clock.now = NOW + TAIL.ttl * SECOND
    assert await held(store, TAIL, ("N1",)) == OnlineRow(RowStatus.FRESH, tail(1))
    clock.now += 1
    assert await held(store, TAIL, ("N1",)) == OnlineRow(RowStatus.STALE, tail(1))


async def test_a_row_of_the_far_future_is_refused(store: OnlineStore) -> None:
    assert await store.write(TAIL, [(("N1",), tail(1, NOW + AHEAD_S * SECOND))]) == Written(1, 0, 0)
    with pytest.raises(ValueError, match="event times are microseconds since the epoch"):
        await store.write(TAIL, [(("N1",), tail(1, NOW + AHEAD_S * SECOND + 1))])


async def test_a_row_of_another_schema_is_missing_and_counted(store: OnlineStore) -> None:
    await store.write(TAIL, [(("N1",), tail(1)), (("N2",), tail(1, NOW - 1))])
    changed = replace(TAIL, features=(*TAIL.features, Feature("more", "bool", REJECT)))
    (answer,) = await store.read([ViewRequest(changed, [("N1",), ("N2",), ("N1",), ("N3",)])])
    assert (answer.rows, answer.other_schema, answer.corrupt) == ((MISSING,) * 4, 2, 0)
    row = Row(NOW, (1.0, 1, True))  # a backfill makes rows of the same event times
    assert await store.write(changed, [(("N1",), row)]) == Written(1, 0, 0)
    assert await held(store, changed, ("N1",)) == OnlineRow(RowStatus.FRESH, row)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"text", b"\x91" * 1000, RowCodec(TAIL).pack(Row(NOW + 9, (1.0, 1)))[:-3], b"\x92\xa0\xa1x"],
)
async def test_corrupt_bytes_are_missing_counted_and_give_way(store: OnlineStore, redis: Redis, data: bytes) -> None:
    await redis.set(key_of(TAIL, ("N1",)), data)
    await store.write(TAIL, [(("N2",), tail(2))])
    (answer,) = await store.read([ViewRequest(TAIL, [("N1",), ("N2",)])])
    assert answer.rows == (MISSING, OnlineRow(RowStatus.FRESH, tail(2)))
    assert answer.corrupt + answer.other_schema == 1
    assert await store.write(TAIL, [(("N1",), tail(1))]) == Written(1, 0, 0)
    assert await held(store, TAIL, ("N1",)) == OnlineRow(RowStatus.FRESH, tail(1))


async def test_a_server_that_forgot_the_script_gets_it_again(store: OnlineStore, redis: Redis) -> None:
    await store.write(TAIL, [(("N1",), tail(1))])
    await redis.script_flush()
    assert await store.write(TAIL, [(("N1",), tail(2))]) == Written(1, 0, 0)


async def test_unreachable_server_is_an_error_within_the_deadline() -> None:
    client = connect(RedisSettings(url="redis://127.0.0.1:1/0", password=SecretStr("x"), timeout_s=0.2))
    store = OnlineStore(client, timeout_s=1, clock=lambda: NOW)
    with pytest.raises(FeatureStoreError, match="the feature store in Redis gave no answer"):
        await store.read([ViewRequest(TAIL, [("N1",)])])
    with pytest.raises(FeatureStoreError):
        await store.write(TAIL, [(("N1",), tail(1))])
    await client.aclose()


async def test_a_server_that_hangs_costs_the_deadline_and_no_answer_is_mixed_up(
    store: OnlineStore, redis: Redis, clock: Clock, valkey_pid: Callable[[], int]
) -> None:
    await store.write(TAIL, [(("N1",), tail(1)), (("N2",), tail(2))])
    quick = OnlineStore(redis, timeout_s=0.1, clock=clock)
    pid = valkey_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(FeatureStoreError, match=r"deadline 0\.1 s\): TimeoutError"):
            await quick.read([ViewRequest(TAIL, [("N1",)])])
        with pytest.raises(FeatureStoreError):
            await quick.write(TAIL, [(("N1",), tail(9))])
    finally:
        os.kill(pid, signal.SIGCONT)
    assert await held(store, TAIL, ("N2",)) == OnlineRow(RowStatus.FRESH, tail(2))


async def test_a_killed_server_is_an_error_until_it_is_back(
    store: OnlineStore, valkey_pid: Callable[[], int]
) -> None:
    await store.write(TAIL, [(("N1",), tail(1))])
    os.kill(valkey_pid(), signal.SIGKILL)  # the supervisor starts another
    errors = 0
    async with asyncio.timeout(30):
        while True:
            try:
                done = await store.write(TAIL, [(("N1",), tail(2))])
                break
            except FeatureStoreError:
                errors += 1
                await asyncio.sleep(0.02)
    assert errors
    assert done == Written(1, 0, 0)
    assert await held(store, TAIL, ("N1",)) == OnlineRow(RowStatus.FRESH, tail(2))
