"""Events and metrics of what the data plane has served; off the request's path but for noting it down."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from app.events import Prediction, Publisher
from app.gateway.access.rate_limit import RateLimiter
from app.gateway.inference.request_record import Served
from app.gateway.inference.version_backends import Versions
from app.gateway.prediction_cache import PredictionCache
from app.gateway.shadow import Mirror, Observer
from app.gateway.telemetry.prediction_log import Records
from app.monitoring.metrics import Counts, Latency, Levels
from app.monitoring.samples import SampleWriter
from app.periodic import Periodic

PUBLISH_S = 2.0
"""Interval at which counters are handed to Ray, seconds."""


class Reporter:
    """One gateway replica's.

    Args:
        observer: told of what is served during a release, once the reply is out.
    """

    def __init__(
        self,
        records: Records,
        observer: Observer,
        publisher: Publisher[Prediction],
        cache: PredictionCache,
        limiter: RateLimiter,
        versions: Versions,
        samples: SampleWriter,
        mirror: Mirror,
    ) -> None:
        self._records, self._observer = records, observer
        self._publisher, self._cache, self._limiter, self._versions = publisher, cache, limiter, versions
        self._samples, self._mirror = samples, mirror
        self._rows: Counter[str] = Counter()
        self._features: Counter[str] = Counter()
        self._failed_attempts: Counter[str] = Counter()
        self._total = Latency(
            "tidegate_request_seconds",
            "Time of a request in the gateway",
            ("model", "version", "placement", "status"),
        )
        self._inside = Latency(
            "tidegate_model_seconds", "Time inside the model of the call that carried a request", ("model", "version")
        )
        self._counts = {
            "rows": Counts("tidegate_rows", "Rows predicted", "model"),
            "features": Counts("tidegate_feature_rows", "Feature rows asked for, by what was found", "status"),
            "failed": Counts("tidegate_failed_attempts", "Attempts at a version that gave no answer", "version"),
            "cache": Counts("tidegate_prediction_cache", "What the prediction cache counts", "outcome"),
            "events": Counts("tidegate_events", "What the event publisher counts", "outcome"),
            "limits": Counts("tidegate_rate_limits", "What the rate limiter counts", "outcome"),
            "samples": Counts("tidegate_samples", "What the samples of releases count", "outcome"),
            "mirror": Counts("tidegate_mirrored_requests", "What became of requests to be mirrored", "outcome"),
        }
        self._ongoing = Levels("tidegate_ongoing_requests", "Requests waiting or under way", "application")
        self._publishing = Periodic("publishing the gateway's counters", self.publish, PUBLISH_S)

    def __call__(self, served: Served) -> None:
        """Note one request down."""
        model, version = served.call.model, served.version or ""
        self._total.observe(served.total_s, model, version, served.placement or "", str(served.status))
        if served.version_s:
            self._inside.observe(served.version_s, model, version)
        self._rows[model] += served.rows
        for failed in served.failed:
            self._failed_attempts[f"{model} {failed}"] += 1
        features = served.features
        if features is not None:
            for view in features.views.values():
                self._features.update(fresh=view.fresh, stale=view.stale, missing=view.missing)
        self._records.offer(served)
        if served.trial is not None:
            self._observer.observe(served)

    def start(self) -> None:
        """Begin to publish counters, on the running loop."""
        self._publishing.start()

    async def stop(self) -> None:
        """Publish a last time."""
        await self._publishing.stop()
        await self.publish()

    async def publish(self) -> None:
        """Hand the counters to Ray."""
        events, limits = self._publisher.stats(), self._limiter.stats()
        self._counts["rows"].publish(self._rows)
        self._counts["features"].publish(self._features)
        self._counts["failed"].publish(self._failed_attempts)
        self._counts["cache"].publish(asdict(self._cache.stats))
        self._counts["events"].publish({name: count for name, count in asdict(events).items() if name != "waiting"})
        self._counts["limits"].publish({name: count for name, count in asdict(limits).items() if name != "local"})
        self._counts["samples"].publish(asdict(self._samples.stats()))
        self._counts["mirror"].publish(asdict(self._mirror.stats))
        self._ongoing.publish({(app,): count for app, count in self._versions.ongoing().items()})
