"""A registered name means one entity and one schema."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from app.features import REJECT, Feature, OnlineStore, Registration, RegistrationError
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
