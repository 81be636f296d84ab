"""A registered name means one entity and one schema."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from app.features import REJECT, Feature, OnlineStore, Registration, RegistrationError, to_document
from app.features.registration import VIEWS_KEY
from tests.features.views import BASE, TAIL


@pytest.fixture
def registration(redis: Redis) -> Registration:
    return Registration(redis, OnlineStore(redis, timeout_s=5))


async def test_registering_is_idempotent_and_takes_over_what_rows_do_not_depend_on(
    registration: Registration,
) -> None:
    for _ in range(2):
        await registration.register([TAIL, BASE])
    assert await registration.views() == (BASE, TAIL)
    changed = replace(
        TAIL, ttl=5, source="elsewhere", features=(Feature("last", "float64", REJECT), TAIL.features[1])
    )
    await registration.register([changed])
    assert await registration.views() == (BASE, changed)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(TAIL, entity=("tail",)), "is registered with the entity tailnum; this one has tail:"),
        (
            replace(TAIL, features=TAIL.features[:1]),
            "with the features last float64, count int64; this one has last float64:",
        ),
    ],
)
async def test_another_view_of_the_name_is_refused_unless_it_replaces(
    registration: Registration, other: object, message: str
) -> None:
    assert isinstance(other, type(TAIL))
    await registration.register([TAIL])
    with pytest.raises(RegistrationError, match=message):
        await registration.register([other])
    assert await registration.views() == (TAIL,)
    await registration.register([other], replace=True)
    assert await registration.views() == (other,)


async def test_unknown_fields_of_a_registered_document_are_written_back(
    registration: Registration, redis: Redis
) -> None:
    held = to_document(TAIL)
    held |= {
        "schema": 2,
        "owner": "team-a",
        "features": [{**feature, "unit": "minutes"} for feature in held["features"]],
    }
    await redis.hset(VIEWS_KEY, TAIL.name, json.dumps(held))  # as a newer version has written it
    await registration.register([replace(TAIL, ttl=5)])
    stored = await redis.hget(VIEWS_KEY, TAIL.name)
    assert stored is not None
    assert json.loads(stored) == {**held, "ttl": 5}


async def test_registered_document_that_cannot_be_read_is_refused_and_left_alone(
    registration: Registration, redis: Redis
) -> None:
    unreadable = json.dumps({**to_document(TAIL), "ttl": {"days": 3}})
    await redis.hset(VIEWS_KEY, TAIL.name, unreadable)
    with pytest.raises(RegistrationError, match=r"feature view 'tail': its document is refused: .*ttl"):
        await registration.register([TAIL])
    assert await redis.hget(VIEWS_KEY, TAIL.name) == unreadable.encode()
