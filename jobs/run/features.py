"""The features of the traffic: rows and clock of the online store, moved to each flight's scheduled departure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fsspec.core import url_to_fs

from app.features import EventStore, FeatureCheckpoint, FeatureStoreError, OnlineStore, Replayer
from app.recipes.flights.replay import START
from app.recipes.flights.views import VIEWS
from app.redis_client import connect
from app.settings import FeaturesSettings, Settings


class FeatureReplay:
    """The flights' events, written to the online store as they become known; counts what it does."""

    def __init__(self, replayer: Replayer) -> None:
        self._replayer = replayer
        self.events = 0
        self.rows = 0

    async def advance(self, instant: int) -> None:
        """Write what is known at an instant (seconds since 1970-01-01 UTC), then set the store's clock to it.

        Raises:
            FeatureStoreError: Redis does not answer.
        """
        step = await self._replayer.advance(instant)
        self.events += step.events
        self.rows += step.rows.written


def storage_url(settings: FeaturesSettings) -> str:
    """Returns the address of the events in a form that also holds for a job that runs in another folder."""
    files, path = url_to_fs(settings.storage)
    return str(files.unstrip_protocol(path))


@asynccontextmanager
async def replayed(settings: Settings, events: EventStore) -> AsyncIterator[FeatureReplay]:
    """A replay of the flights' events from ``START`` on, the rows up to there being in the store; for the block's
    duration the store's time is the replay's.

    Raises:
        EventStoreError: a view's events are not there.
        FeatureStoreError: Redis does not answer.
    """
    redis = connect(settings.redis)
    store = OnlineStore(redis, settings.features.write_timeout_s)
    checkpoint = FeatureCheckpoint(redis, store, settings.features.clock_lease_s)
    try:
        replayer = await asyncio.to_thread(Replayer, VIEWS, events, START, store, checkpoint)
        await replayer.begin()
        yield FeatureReplay(replayer)
    finally:
        with suppress(FeatureStoreError):  # without Redis the lease ends the replay's time
            await checkpoint.release()
        await redis.aclose()
