"""Events of requests, on their way to the event log."""

from __future__ import annotations

from collections.abc import Callable

from app.events import EventIds, Prediction, Publisher, ViewTimes, hash_sticky_key, summarise
from app.features import ViewReport
from app.gateway.inference.feature_lookup import ABSENT, FeatureReport
from app.gateway.inference.request_record import RequestRecord


class PredictionLog:
    """Makes the events of one gateway replica and hands them to the publisher.

    Args:
        now_us: instant, microseconds since the epoch.
    """

    def __init__(self, publisher: Publisher[Prediction], now_us: Callable[[], int]) -> None:
        self._publisher, self._now_us = publisher, now_us
        self._event_id = EventIds()

    def offer(self, record: RequestRecord, mirrored: bool = False) -> None:
        """Makes the event of a request and hands it over; never waits.

        Args:
            mirrored: True for what a challenger made of a request that another version answered.
        """
        identity = record.call.identity
        features = record.features
        self._publisher.offer(
            Prediction(
                event_id=self._event_id(),
                at=self._now_us(),
                model=record.call.model,
                version=record.version,
                request_id=identity.request_id,
                trace_id=identity.trace_id,
                key_id=record.call.caller.key_id,
                sticky=hash_sticky_key(record.sticky),
                placement=record.placement,
                weight=record.weight,
                rows=record.rows,
                status=record.status,
                total_us=int(record.total_s * 1e6),
                version_us=int(record.version_s * 1e6),
                cached=record.cached,
                outputs=summarise(record.outputs) if record.outputs is not None else {},
                features=view_times(features) if features is not None else {},
                failed=record.failed,
                mirrored=mirrored,
                pinned=record.call.pinned is not None,
            )
        )


def view_times(report: FeatureReport) -> dict[str, ViewTimes]:
    """Returns the rows that each view gave, with the event times of those that were used."""
    found: dict[str, ViewTimes] = {}
    start = 0
    for name, view in report.views.items():
        end = start + _row_count(view)
        times = [time for time in report.event_times[start:end] if time != ABSENT]
        oldest, newest = (min(times), max(times)) if times else (None, None)
        found[name] = ViewTimes(view.fresh, view.stale, view.missing, oldest, newest)
        start = end
    return found


def _row_count(view: ViewReport) -> int:
    return view.fresh + view.stale + view.missing
