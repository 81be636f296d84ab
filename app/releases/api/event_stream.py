"""Who follows a release hears of every change: Redis announces it, and a reading at an interval misses none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from redis.asyncio import Redis

from app.errors import OverloadedError
from app.releases.control.release_store import CHANGED, ReleaseStore
from app.releases.model.release import Release
from app.routing.redis_watch import Watch

MOST = 64
"""Followers of one replica at a time, all releases together."""


class TooManyFollowersError(OverloadedError):
    """As many follow releases here as may."""


class Follower:
    """One who follows. Holds the newest state only: who is slow skips states between, and the history in the newest
    tells what was in them."""

    def __init__(self) -> None:
        self._newest: Release | None = None
        self._heard = asyncio.Event()
        self._over = False

    def hear(self, release: Release) -> None:
        """A state, maybe the same as before."""
        if release != self._newest:
            self._newest = release
            self._heard.set()

    def end(self) -> None:
        """Nothing more will be heard here."""
        self._over = True
        self._heard.set()

    async def changes(self, quiet_s: float) -> AsyncIterator[Release | None]:
        """Each new state, and None whenever none came for ``quiet_s`` seconds; until the release has ended, or
        following ends here."""
        while not self._over:
            try:
                async with asyncio.timeout(quiet_s):
                    await self._heard.wait()
            except TimeoutError:
                yield None
                continue
            self._heard.clear()
            if self._newest is None or self._over:
                continue
            state = self._newest
            yield state
            if state.is_final:
                return


class Following(Watch):
    """The followers of one replica.

    Args:
        redis: a client of its own, closed by ``stop``.
        refresh_s: interval of the reading that finds changes whose announcement was lost, seconds.
        most: followers at a time.
    """

    def __init__(self, redis: Redis, refresh_s: float, most: int = MOST) -> None:
        super().__init__(redis, CHANGED, refresh_s, "releases")
        self._store = ReleaseStore(redis)
        self._most = most
        self._followers: dict[str, set[Follower]] = {}

    @property
    def count(self) -> int:
        """How many follow."""
        return sum(map(len, self._followers.values()))

    @contextmanager
    def follow(self, present: Release) -> Iterator[Follower]:
        """A follower of a release for the block's duration; it hears ``present`` first.

        Raises:
            TooManyFollowersError: as many as may follow already.
        """
        if self.count >= self._most:
            raise TooManyFollowersError(f"{self._most} callers follow releases here already; accepted are no more")
        follower = Follower()
        follower.hear(present)
        self._followers.setdefault(present.id, set()).add(follower)
        try:
            yield follower
        finally:
            self._followers[present.id].discard(follower)
            if not self._followers[present.id]:
                del self._followers[present.id]

    async def stop(self) -> None:
        """End the watch and all following."""
        for followers in self._followers.values():
            for follower in followers:
                follower.end()
        await super().stop()

    async def _read_all(self) -> None:
        await self._redis.ping()  # with no follower too: the age says whether Redis answers
        for release in list(self._followers):
            await self._read_one(release)

    async def _read_one(self, name: str) -> None:
        if name not in self._followers:
            return
        found = await self._store.read(name)
        if found is not None:
            for follower in self._followers.get(name, ()):
                follower.hear(found)
