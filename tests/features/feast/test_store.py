"""Rows that Feast wrote, in a real Valkey: recorded from Feast 0.67.0, and written by a Feast that is at hand.

``TEST_FEAST_PYTHON`` names a Python with ``feast[redis]``, which does not fit into our environment.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis as sync_redis
from redis.asyncio import Redis

from app.features import Feature, FeatureStoreError, OnlineRow, OnlineStore, Row, RowStatus, ViewRequest, resolve
from app.features.feast import FeastStore, FeastView
from app.features.feast.keys import EntityKeys, hash_fields
from app.features.view_rows import MISSING
from app.routing.route_store import connect
from app.settings import RedisSettings
from tests.features.feast.recorded import FEAST_0_67_0
from tests.features.feast.views import (
    DELAYS,
    FEAST_DELAYS,
    FEAST_WEATHER,
    NOW,
    ROUTES,
    ROWS,
    SECOND,
    TTL,
    WEATHER,
    asked_of_feast,
)

FEAST_PYTHON = os.environ.get("TEST_FEAST_PYTHON")
REPOSITORY = Path(__file__).with_name("repository.py")
Hashes = dict[bytes, dict[bytes, bytes]]

LATER = NOW + SECOND
EVERYTHING = [ViewRequest(source.view, [*rows, None]) for source, rows in ROWS.items()]


def recorded(valkey: RedisSettings, folder: Path) -> Hashes:
    return {
        bytes.fromhex(key): {bytes.fromhex(field): bytes.fromhex(value) for field, value in held.items()}
        for key, held in FEAST_0_67_0.items()
    }


def written_by_feast(valkey: RedisSettings, folder: Path) -> Hashes:
    if FEAST_PYTHON is None:
        pytest.skip("TEST_FEAST_PYTHON names no Python with feast[redis]")
    assert valkey.password is not None
    password = valkey.password.get_secret_value()
    with sync_redis.Redis.from_url(valkey.url, password=password) as client:
        client.flushdb()
        subprocess.run(
            [FEAST_PYTHON, REPOSITORY, folder, f"{urlsplit(valkey.url).netloc},password={password}"],
            input=json.dumps(asked_of_feast()),
            text=True,
            check=True,
            timeout=120,
            env={"FEAST_USAGE": "False", "PATH": os.environ["PATH"]},
        )
        return {key: client.hgetall(key) for key in client.scan_iter()}


@pytest.fixture(scope="module", params=[recorded, written_by_feast], ids=["feast 0.67.0", "feast"])
def hashes(request: pytest.FixtureRequest, valkey: RedisSettings, tmp_path_factory: pytest.TempPathFactory) -> Hashes:
    found: Hashes = request.param(valkey, tmp_path_factory.mktemp("feast"))
    return found


@pytest.fixture
async def held(redis: Redis, hashes: Hashes) -> Redis:
    """A client of a Redis that holds Feast's hashes and nothing else."""
    for key, fields in hashes.items():
        for field, value in fields.items():
            await redis.hset(key, field, value)
    return redis


def store(redis: Redis, *changed: FeastView, timeout_s: float = 5, now: int = LATER) -> FeastStore:
    return FeastStore(redis, changed or tuple(ROWS), timeout_s, clock=partial(int, now))


async def test_reads_what_feast_wrote(held: Redis) -> None:
    answers = await store(held).read(EVERYTHING)
    for answer, rows in zip(answers, ROWS.values(), strict=True):
        assert [found.row for found in answer.rows] == [*rows.values(), None]
        assert (answer.read_at, answer.corrupt, answer.other_schema) == (LATER, 0, 0)


async def test_same_rows_give_the_same_answers_as_the_own_store(held: Redis) -> None:
    for source, rows in ROWS.items():
        for entity, row in rows.items():
            as_known_then = OnlineStore(held, 5, clock=partial(int, row.event_time))
            await as_known_then.write(source.view, [(entity, row)])
    requests = [*EVERYTHING, ViewRequest(WEATHER, [(-5,), (5,), ("-5",), None, (-5,)]), ViewRequest(DELAYS, [])]
    for now in (NOW - SECOND, LATER, NOW + TTL * SECOND, NOW + TTL * SECOND + 1):
        ours = OnlineStore(held, 5, clock=partial(int, now))
        assert await store(held, now=now).read(requests) == await ours.read(requests)


async def test_freshness_is_by_event_time_and_the_views_ttl(held: Redis) -> None:
    row = ROWS[FEAST_WEATHER][(-5,)]
    for now, status in ((NOW + TTL * SECOND, RowStatus.FRESH), (NOW + TTL * SECOND + 1, RowStatus.STALE)):
        (answer,) = await store(held, now=now).read([ViewRequest(WEATHER, [(-5,)])])
        assert answer.rows == (OnlineRow(status, row),)


async def test_an_entity_that_one_view_of_a_hash_lacks_is_missing(held: Redis) -> None:
    routes, delays = await store(held).read([ViewRequest(ROUTES, [("UA", 7)]), ViewRequest(DELAYS, [(7, "UA")])])
    assert routes.rows == (MISSING,)
    assert (routes.corrupt, routes.other_schema) == (0, 0)
    assert delays.rows == (OnlineRow(RowStatus.FRESH, Row(NOW, (0.0,))),)


async def test_rows_of_feast_resolve_to_columns(held: Redis) -> None:
    answers = await store(held).read([ViewRequest(DELAYS, [(7, "UA"), (7, "AA"), (8, "AA")])])
    found = resolve(answers, ["delays_mean", "delays_age"])
    assert found.columns["delays_mean"].tolist() == [0.0, 0.0, 0.0]
    assert found.columns["delays_age"].tolist()[0] == 1.0
    assert (found.views["delays"].fresh, found.views["delays"].stale, found.views["delays"].missing) == (1, 1, 1)


async def test_reads_by_hmget_alone_one_for_each_entity(held: Redis) -> None:
    before = await held.info("commandstats")
    await store(held).read([*EVERYTHING, ViewRequest(WEATHER, [(-5,)] * 5)])
    after = await held.info("commandstats")
    calls = {name: stats["calls"] - before.get(name, {"calls": 0})["calls"] for name, stats in after.items()}
    entities = sum(map(len, ROWS.values()))
    assert {name: count for name, count in calls.items() if count} == {
        "cmdstat_hmget": entities + 1,
        "cmdstat_info": 1,
    }


async def test_read_without_entities_sends_nothing(redis: Redis) -> None:
    assert await store(redis).read([]) == ()
    (answer,) = await store(redis).read([ViewRequest(WEATHER, [None])])
    assert answer.rows == (MISSING,)


async def test_a_row_of_other_types_or_without_a_feature_is_counted(held: Redis) -> None:
    integer = replace(WEATHER, features=(Feature("wind", "int64", 0),))
    more = replace(WEATHER, name="more", features=(*WEATHER.features, Feature("rain", "float32", 0.0)))
    changed = [
        replace(FEAST_WEATHER, view=integer),
        replace(FEAST_WEATHER, view=more, features=("wind", "rain")),
    ]
    answers = await store(held, *changed).read([ViewRequest(each.view, [(-5,), (5,)]) for each in changed])
    for answer in answers:
        assert answer.rows == (MISSING, MISSING)
        assert (answer.corrupt, answer.other_schema) == (0, 1)


async def test_unreadable_row_is_counted_and_the_others_are_read(held: Redis) -> None:
    keys = EntityKeys(FEAST_WEATHER)
    await held.set(keys.key_of((1,)), "no hash")
    await held.hset(keys.key_of((2,)), mapping=dict.fromkeys(hash_fields(FEAST_WEATHER), b"\xff"))
    (answer,) = await store(held).read([ViewRequest(WEATHER, [(1,), (-5,), (2,)])])
    assert answer.rows == (MISSING, OnlineRow(RowStatus.FRESH, ROWS[FEAST_WEATHER][(-5,)]), MISSING)
    assert (answer.corrupt, answer.other_schema) == (2, 0)


async def test_a_view_that_feast_does_not_have_is_refused(redis: Redis) -> None:
    with pytest.raises(ValueError, match="feature view routes has no Feast view"):
        await store(redis, FEAST_DELAYS).read([ViewRequest(ROUTES, [("AA", 7)])])
    with pytest.raises(ValueError, match="delays has more than one Feast view"):
        store(redis, FEAST_DELAYS, replace(FEAST_DELAYS, name="other"))


async def test_a_redis_that_refuses_is_an_error(redis: Redis) -> None:
    await redis.acl_setuser("writer", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-hmget"])
    options = redis.connection_pool.connection_kwargs
    client = Redis(host=options["host"], port=options["port"], username="writer", password="any")
    with pytest.raises(FeatureStoreError, match="hmget"):
        await store(client).read([ViewRequest(ROUTES, [("AA", 7)])])
    await client.aclose()
    await redis.acl_deluser("writer")


async def test_a_server_that_hangs_costs_the_deadline_and_no_answer_is_mixed_up(
    held: Redis, valkey_pid: Callable[[], int]
) -> None:
    pid = valkey_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(FeatureStoreError, match=r"deadline 0\.1 s\): TimeoutError"):
            await store(held, timeout_s=0.1).read([ViewRequest(DELAYS, [(7, "UA")])])
    finally:
        os.kill(pid, signal.SIGCONT)
    (answer,) = await store(held).read([ViewRequest(WEATHER, [(-5,)])])
    assert answer.rows == (OnlineRow(RowStatus.FRESH, ROWS[FEAST_WEATHER][(-5,)]),)


async def test_a_server_that_is_away_is_an_error() -> None:
    client = connect(RedisSettings(url="redis://127.0.0.1:1", timeout_s=0.5))
    with pytest.raises(FeatureStoreError, match=r"Feast's Redis gave no answer \(deadline 5 s\): "):
        await store(client).read([ViewRequest(ROUTES, [("AA", 7)])])
    await client.aclose()
