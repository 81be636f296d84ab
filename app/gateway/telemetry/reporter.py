"""Events and metrics of requests; on the request's path they are only recorded."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from app.events import Prediction, Publisher
from app.gateway.access.rate_limit import RateLimiter
from app.gateway.inference.request_record import RequestRecord
from app.gateway.inference.version_backends import VersionBackends
from app.gateway.prediction_cache import PredictionCache
from app.gateway.shadow import Mirror, Observer
from app.gateway.telemetry.prediction_log import PredictionLog
from app.monitoring.metrics import Counts, Latency, Levels
from app.monitoring.samples import SampleWriter
from app.periodic import Periodic

PUBLISH_S = 2.0
"""Interval at which counters are handed to Ray, seconds."""


class Reporter:
    """Counts the requests of one gateway replica and makes their events.

    Args:
        observer: takes the records of requests during a release, once the reply is out.
    """

    def __init__(
        self,
        records: PredictionLog,
        observer: Observer,
        publisher: Publisher[Prediction],
        cache: PredictionCache,
        limiter: RateLimiter,
        versions: VersionBackends,
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

    def __call__(self, record: RequestRecord) -> None:
        """Records one request."""
        model, version = record.call.model, record.version or ""
        self._total.observe(record.total_s, model, version, record.placement or "", str(record.status))
        if record.version_s:
            self._inside.observe(record.version_s, model, version)
        self._rows[model] += record.rows
        for failed in record.failed:
            self._failed_attempts[f"{model} {failed}"] += 1
        features = record.features
        if features is not None:
            for view in features.views.values():
                self._features.update(fresh=view.fresh, stale=view.stale, missing=view.missing)
        self._records.offer(record)
        if record.release_context is not None:
            self._observer.observe(record)

    def start(self) -> None:
        """Begins to publish counters, on the running loop."""
        self._publishing.start()

    async def stop(self) -> None:
        """Publishes a last time."""
        await self._publishing.stop()
        await self.publish()

    async def publish(self) -> None:
        """Hands the counters to Ray."""
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
