"""The parts of one gateway replica, and the order in which they begin and end."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial

from app.events import Publisher, connect_sink
from app.features import OnlineStore
from app.features.online import now_us
from app.features.tracking import TrackedRows
from app.gateway.access.admission import Admission
from app.gateway.access.rate_limit import RateLimiter
from app.gateway.feedback.ingestion import Feedback
from app.gateway.inference.dataplane import DataPlane
from app.gateway.inference.feature_lookup import FeatureLookup
from app.gateway.inference.version_backends import VersionBackends
from app.gateway.prediction_cache import PredictionCache
from app.gateway.request_attributes import ATTRIBUTES
from app.gateway.shadow import Mirror, Observer
from app.gateway.telemetry.prediction_log import PredictionLog
from app.gateway.telemetry.reporter import Reporter
from app.monitoring.samples import LossBuffer, SampleWriter
from app.redis_client import connect
from app.routing.route_store import RouteStore, RouteWatch
from app.settings import Settings
from app.web.keys import Authenticator, KeyWatch, Scope

log = logging.getLogger(__name__)

FIRST_READ_S = 15.0
"""Time a new replica waits for its first route tables and keys before it answers 503, seconds."""
LAST_EVENTS_S = 5.0
"""Time a replica that ends has for the events it still holds, seconds."""


class GatewayReplica:
    """What answers requests, apart from the protocols.

    Args:
        replica: name of this gateway replica.
    """

    def __init__(self, settings: Settings, replica: str) -> None:
        self.settings = settings
        self.attributes = ATTRIBUTES
        self.store = RouteStore(connect(settings.redis))
        self.watch = RouteWatch(connect(settings.redis), settings.routing.refresh_s)
        self.versions = VersionBackends(settings, replica)
        self._keys = KeyWatch(connect(settings.redis), settings.routing.refresh_s)
        self._limiter = RateLimiter(connect(settings.redis), settings.gateway.min_replicas)
        self._events = connect_sink(settings)
        self._publisher = Publisher(self._events.predictions, settings.events)
        self.feedback = Feedback(self._events.labels, settings, now_us)
        self._redis = connect(settings.redis)
        features = settings.features
        self._tracked = (
            TrackedRows(self._redis, features.tracked_rows, features.tracked_stale_s)
            if features.tracked_rows
            else None
        )
        self._cache = PredictionCache(self._redis, settings.cache)
        lookup = FeatureLookup(
            OnlineStore(
                self._redis,
                features.read_timeout_s,
                mget=self._tracked.mget if self._tracked is not None else None,
            )
        )
        records = PredictionLog(self._publisher, now_us)
        losses = LossBuffer(settings.samples.held_ticks)
        self._samples = SampleWriter(losses, self._redis, replica, settings.samples, settings.redis.timeout_s)
        self._mirror = Mirror(
            settings, self.watch.tables, self.versions, lookup, losses, partial(records.offer, mirrored=True)
        )
        self._reporter = Reporter(
            records,
            Observer(losses, self._mirror),
            self._publisher,
            self._cache,
            self._limiter,
            self.versions,
            self._samples,
            self._mirror,
        )
        self.admission = Admission(
            Authenticator(
                self._keys.keys,
                lambda: self._keys.age_s is not None,
                settings.gateway.admin_key_hash,
                frozenset(map(Scope, settings.gateway.anonymous)),
            ),
            self._limiter,
        )
        self.plane = DataPlane(
            settings,
            self.watch.tables,
            self.versions,
            self.ready,
            lookup,
            self._cache,
            self._reporter,
        )
        self._warming: asyncio.Task[None] | None = None

    def ready(self) -> bool:
        """Whether the route tables have been read: without them every model is unknown."""
        return self.watch.age_s is not None

    async def start(self) -> None:
        """Begin; Serve sends traffic once this is through.

        Without Redis the other replicas, which have the last good tables, are the better ones to ask, for a while;
        then 503 from here is better than no gateway at all.
        """
        self.watch.start()
        self._keys.start()
        self._cache.start()
        if self._tracked is not None:
            self._tracked.start()
        self._publisher.start()
        self._samples.start()
        self.feedback.start()
        self._reporter.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_READ_S):
                await self.watch.first_read()
                await self._keys.first_read()
        await self._await_placed()
        self._warming = asyncio.create_task(self._keep_warm())

    async def stop(self) -> None:
        """End once the last request is through."""
        if self._warming is not None:
            self._warming.cancel()
            with suppress(asyncio.CancelledError):
                await self._warming
        await self._mirror.stop()
        await self.plane.close()
        await self._samples.stop()
        await self._reporter.stop()
        await asyncio.gather(self._publisher.stop(LAST_EVENTS_S), self.feedback.stop(LAST_EVENTS_S))
        await self._events.close()
        if self._tracked is not None:
            await self._tracked.stop()
        await self._cache.stop()
        await self._limiter.stop()
        await self._keys.stop()
        await self.watch.stop()
        await self._redis.aclose()
        await self.store.close()

    async def _await_placed(self) -> None:
        """Give the versions that are to be inline time to be loaded, whatever the registry does meanwhile.

        One that could not be leaves its model unanswered by this replica, which is better than no gateway at all.
        """
        deadline = time.monotonic() + self.settings.serving.deploy_timeout_s
        while True:
            await self.plane.warm_up()
            await self.plane.loaded(deadline - time.monotonic())
            if self.plane.is_placed():
                return
            if time.monotonic() > deadline:
                log.error("some inline versions are not loaded; this replica does not answer for their models yet")
                return
            await asyncio.sleep(self.settings.routing.refresh_s)

    async def _keep_warm(self) -> None:
        interval_s = self.settings.routing.refresh_s
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self.plane.warm_up()
            except Exception:
                log.exception("reading what the deployed versions take failed; the next try is in %g s", interval_s)
