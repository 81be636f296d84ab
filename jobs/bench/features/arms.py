"""The reads of this process: our store, a naive pipeline, and the rows that Feast wrote."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from app.clock import now_us
from app.features import Feature, FeatureView, OnlineRow, OnlineStore, Row, ViewRequest, resolve
from app.features.feast import FeastStore, FeastView, JoinKey
from jobs.bench.features.workload import FEATURES, JOIN_KEY, POPULATION, PROJECT, TTL_S, VIEW, Read, values
from jobs.bench.harness import BenchError

TIMEOUT_S = 10.0
BENCH = FeatureView(
    name=VIEW,
    entity=(JOIN_KEY,),
    features=tuple(Feature(name, "float64", 0.0) for name in FEATURES),
    ttl=TTL_S,
    event_time="event_timestamp",
    source="jobs.bench.features",
)
FEAST_BENCH = FeastView(BENCH, PROJECT, VIEW, (JoinKey(JOIN_KEY, "int64"),), FEATURES)
NAIVE = "tidegate:bench:naive:"


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to read.

    Attributes:
        name: as the table says it.
        read: what is timed.
        plain: the values of what a read answered, one line an entity.
    """

    name: str
    read: Read
    plain: Callable[[Any], list[tuple[float, ...]]]

    async def check(self, entities: Sequence[int]) -> None:
        """Read, and compare with what was written.

        Raises:
            BenchError: it reads something else.
        """
        if self.plain(await self.read(entities)) != [values(entity) for entity in entities]:
            raise BenchError(f"{self.name} reads other values than were written")


async def write(redis: Redis) -> None:
    """Write what our arms read."""
    now = now_us()
    rows = [((entity,), Row(now, values(entity))) for entity in range(POPULATION)]
    await OnlineStore(redis, TIMEOUT_S).write(BENCH, rows)
    async with redis.pipeline(transaction=False) as pipe:
        for entity in range(POPULATION):
            key = f"{NAIVE}{entity}"
            pipe.hset(key, mapping=dict(zip(FEATURES, map(repr, values(entity)), strict=True)))
            pipe.expire(key, TTL_S)
        await pipe.execute()


def arms(redis: Redis, with_feast: bool) -> tuple[Arm, ...]:
    """Our store first. ``with_feast``: Feast has written its rows, so that they can be read."""
    ours = OnlineStore(redis, TIMEOUT_S).read
    found = (
        Arm("OnlineStore.read", lambda entities: ours(_view_requests(entities)), _rows),
        Arm("OnlineStore.read and resolve", _resolved(ours), _columns),
        Arm("pipeline of HMGET, by hand", lambda entities: _by_hand(redis, entities), list),
    )
    if not with_feast:
        return found
    feasts = FeastStore(redis, [FEAST_BENCH], TIMEOUT_S).read
    return (*found, Arm("FeastStore.read, of Feast's rows", lambda entities: feasts(_view_requests(entities)), _rows))


def _view_requests(entities: Sequence[int]) -> list[ViewRequest]:
    return [ViewRequest(BENCH, [(entity,) for entity in entities])]


def _resolved(read: Callable[[Sequence[ViewRequest]], Awaitable[Any]]) -> Read:
    wanted = frozenset(BENCH.columns)

    async def resolved(entities: Sequence[int]) -> object:
        return resolve(await read(_view_requests(entities)), wanted).columns

    return resolved


async def _by_hand(redis: Redis, entities: Sequence[int]) -> list[tuple[float, ...]]:
    async with redis.pipeline(transaction=False) as pipe:
        for entity in entities:
            pipe.hmget(f"{NAIVE}{entity}", FEATURES)
        return [tuple(map(float, line)) for line in await pipe.execute()]


def _rows(answer: Any) -> list[tuple[float, ...]]:
    rows = cast(tuple[OnlineRow, ...], answer[0].rows)
    return [cast(tuple[float, ...], found.row.values) if found.row else () for found in rows]


def _columns(columns: Any) -> list[tuple[float, ...]]:
    return list(zip(*(columns[name].tolist() for name in BENCH.columns), strict=True))
