"""The checkpoint of materialisation and replay in Redis, beside the rows and lost with them: the replay's clock and
position, and which parts of which views are done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from app.clock import now_us
from app.features.entity import PREFIX
from app.features.online import OnlineStore
from app.features.replay_clock import CLOCK_KEY, ReplayClock

POSITION_KEY = f"{PREFIX}:position"
DONE_KEY = f"{PREFIX}:materialized"


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a replay.

    Attributes:
        replay: digest of what is replayed.
        instant: up to which its rows are written, microseconds since the epoch.
    """

    replay: str
    instant: int


@dataclass(frozen=True, slots=True)
class _Done:
    digest: str
    until: int


class FeatureCheckpoint:
    """The checkpoint of a store. Every method raises FeatureStoreError when Redis is away.

    Args:
        lease_s: time that a replay's clock holds without being renewed, seconds.
        clock: the wall clock, microseconds since the epoch.
    """

    def __init__(self, redis: Redis, store: OnlineStore, lease_s: float, clock: Callable[[], int] = now_us) -> None:
        self._redis, self._store, self._clock = redis, store, clock
        self._lease_ms = int(lease_s * 1000)

    async def move(self, instant: int, speed: float, replay: str) -> None:
        """Sets the store's clock and the replay's position, together: the rows up to ``instant`` are written.

        Args:
            instant: microseconds since the epoch.
            speed: of the clock from there on; 0 stands still.
        """
        clock = ReplayClock(instant, self._clock(), speed)
        position = msgspec.json.encode(Position(replay, instant))
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(CLOCK_KEY, clock.pack(), px=self._lease_ms)
            pipe.set(POSITION_KEY, position)
            await self._store.within_deadline(pipe.execute())

    async def position(self, replay: str) -> int | None:
        """The instant that this replay has reached, microseconds since the epoch; None where it has not begun."""
        held = await self._store.within_deadline(self._redis.get(POSITION_KEY))
        if held is None:
            return None
        found = msgspec.json.decode(held, type=Position)
        return found.instant if found.replay == replay else None

    async def release(self) -> None:
        """Gives the store's time back to the wall clock. The position stays: a replay goes on from there."""
        await self._store.within_deadline(self._redis.delete(CLOCK_KEY))

    async def forget(self) -> None:
        """Forgets the clock, the position and the parts that are done."""
        await self._store.within_deadline(self._redis.delete(CLOCK_KEY, POSITION_KEY, DONE_KEY))

    async def done(self) -> dict[str, str]:
        """Digest by part, of those whose rows Redis still keeps."""
        held = await self._store.within_deadline(cast(Any, self._redis.hgetall(DONE_KEY)))
        marks = {name.decode(): msgspec.json.decode(data, type=_Done) for name, data in held.items()}
        return {name: mark.digest for name, mark in marks.items() if mark.until > self._clock()}

    async def finish(self, part: str, digest: str, until: int) -> None:
        """Marks a part as done: its rows are written.

        Args:
            until: wall time at which the first of them may have left Redis, microseconds since the epoch.
        """
        mark = msgspec.json.encode(_Done(digest, until))
        await self._store.within_deadline(cast(Any, self._redis.hset(DONE_KEY, part, mark)))
