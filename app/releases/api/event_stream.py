"""Changes of releases for subscribers: Redis announces each, and a reading at an interval misses none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from redis.asyncio import Redis

from app.errors import OverloadedError
from app.releases.control.release_store import CHANGED, ReleaseStore
from app.releases.model.release import Release
from app.routing.redis_watch import Watch

MAX_SUBSCRIBERS = 64
"""Most subscribers of one replica at a time, all releases together."""


class TooManySubscribersError(OverloadedError):
    """This replica has as many subscribers as it accepts."""


class Subscription:
    """A subscription to one release. It holds the newest state only: a slow reader skips states between, whose events
    are in the newest one's history."""

    def __init__(self) -> None:
        self._newest: Release | None = None
        self._heard = asyncio.Event()
        self._over = False

    def update(self, release: Release) -> None:
        """Takes a state, maybe the same as before."""
        if release != self._newest:
            self._newest = release
            self._heard.set()

    def close(self) -> None:
        """Ends the subscription."""
        self._over = True
        self._heard.set()

    async def changes(self, quiet_s: float) -> AsyncIterator[Release | None]:
        """Each new state, and None whenever none came for ``quiet_s`` seconds; until the release has ended, or
        the subscription is closed."""
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


class ReleaseFeed(Watch):
    """The subscriptions of one replica.

    Args:
        redis: a client of its own, closed by ``stop``.
        refresh_s: interval of the reading that finds changes whose announcement was lost, seconds.
        max_subscribers: subscriptions at a time.
    """

    def __init__(self, redis: Redis, refresh_s: float, max_subscribers: int = MAX_SUBSCRIBERS) -> None:
        super().__init__(redis, CHANGED, refresh_s, "releases")
        self._store = ReleaseStore(redis)
        self._max_subscribers = max_subscribers
        self._subscriptions: dict[str, set[Subscription]] = {}

    @property
    def count(self) -> int:
        """Number of subscriptions."""
        return sum(map(len, self._subscriptions.values()))

    @contextmanager
    def subscribe(self, present: Release) -> Iterator[Subscription]:
        """A subscription of a release for the block's duration; it hears ``present`` first.

        Raises:
            TooManySubscribersError: as many as may follow already.
        """
        if self.count >= self._max_subscribers:
            raise TooManySubscribersError(
                f"{self._max_subscribers} callers follow releases here already; accepted are no more"
            )
        subscription = Subscription()
        subscription.update(present)
        self._subscriptions.setdefault(present.id, set()).add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[present.id].discard(subscription)
            if not self._subscriptions[present.id]:
                del self._subscriptions[present.id]

    async def stop(self) -> None:
        """Ends the watch and all subscriptions."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.close()
        await super().stop()

    async def _read_all(self) -> None:
        await self._redis.ping()  # with no subscription too: the age says whether Redis answers
        for release in list(self._subscriptions):
            await self._read_one(release)

    async def _read_one(self, name: str) -> None:
        if name not in self._subscriptions:
            return
        found = await self._store.read(name)
        if found is not None:
            for subscription in self._subscriptions.get(name, ()):
                subscription.update(found)
