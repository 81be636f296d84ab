"""The parts of one gateway replica, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack, suppress
from functools import partial

from app.clock import now_us
from app.events import Publisher, connect_sink
from app.features import OnlineStore
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
from app.periodic import Periodic
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
    """The parts that answer requests, apart from the protocols.

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
        self._warming = Periodic(
            "reading the metadata of the deployed versions", self.plane.warm_up, settings.routing.refresh_s
        )
        self._stops = AsyncExitStack()

    def ready(self) -> bool:
        """True once the route tables have been read: without them every model is unknown."""
        return self.watch.age_s is not None

    async def start(self) -> None:
        """Starts the parts; Serve sends traffic once this is through. A start that fails stops what had started.

        Without Redis the other replicas, which have the last good tables, are the better ones to ask, for a while;
        then 503 from here is better than no gateway at all.
        """
        async with AsyncExitStack() as stops:  # stops in the reverse order of the lines below
            stops.push_async_callback(self.store.close)
            stops.push_async_callback(self._redis.aclose)
            for watch in (self.watch, self._keys):
                watch.start()
                stops.push_async_callback(watch.stop)
            stops.push_async_callback(self._limiter.stop)
            self._cache.start()
            stops.push_async_callback(self._cache.stop)
            if self._tracked is not None:
                self._tracked.start()
                stops.push_async_callback(self._tracked.stop)
            stops.push_async_callback(self._events.close)
            self._publisher.start()
            self.feedback.start()
            stops.push_async_callback(self._send_last_events)
            self._reporter.start()
            stops.push_async_callback(self._reporter.stop)
            self._samples.start()
            stops.push_async_callback(self._samples.stop)
            stops.push_async_callback(self.plane.close)
            stops.push_async_callback(self._mirror.stop)
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_READ_S):
                    await self.watch.first_read()
                    await self._keys.first_read()
            await self._await_placed()
            self._warming.start()
            stops.push_async_callback(self._warming.stop)
            self._stops = stops.pop_all()

    async def stop(self) -> None:
        """Stops the parts once the last request is through, the last started first.

        Raises:
            Exception: the last of the errors that stops raised; none of them keeps the others from their turn.
        """
        await self._stops.aclose()

    async def _send_last_events(self) -> None:
        await asyncio.gather(self._publisher.stop(LAST_EVENTS_S), self.feedback.stop(LAST_EVENTS_S))

    async def _await_placed(self) -> None:
        """Waits until the inline versions are loaded, at most ``deploy_timeout_s``.

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
