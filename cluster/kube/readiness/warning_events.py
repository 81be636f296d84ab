"""Warning events (``events.k8s.io/v1``), equal ones taken together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cluster.kube.manifest import Object

_VARYING = re.compile(r"\b(?=[a-z0-9]*\d)[a-z0-9]{5}\b|\d+(\.\d+)*")
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class WarningEvent:
    """A warning about an object, given ``count`` times, last at ``last``."""

    reason: str
    kind: str
    name: str
    uid: str
    text: str
    count: int
    last: datetime


def warning_events(objects: Iterable[Object]) -> list[WarningEvent]:
    """The Warning events, newest first; those that differ in numbers and random names alone are one."""
    found: dict[tuple[str, str, str, str], WarningEvent] = {}
    for event in sorted((_read(obj) for obj in objects if obj.get("type") == "Warning"), key=lambda each: each.last):
        same = (event.kind, event.name, event.reason, _VARYING.sub("#", event.text))
        before = found.pop(same, None)
        found[same] = replace(event, count=event.count + before.count) if before else event
    return sorted(found.values(), key=lambda event: event.last, reverse=True)


def newest(events: Iterable[WarningEvent], *reasons: str) -> WarningEvent | None:
    """The newest event whose reason begins with one of ``reasons``."""
    found = [each for each in events if each.reason.startswith(reasons)]
    return max(found, key=lambda each: each.last, default=None)


def _read(obj: Object) -> WarningEvent:
    about, series = obj.get("regarding") or {}, obj.get("series") or {}
    times = (
        series.get("lastObservedTime"),
        obj.get("deprecatedLastTimestamp"),  # of an event that was written by the older API
        obj.get("eventTime"),
        obj["metadata"].get("creationTimestamp"),
    )
    return WarningEvent(
        reason=obj.get("reason") or "",
        kind=about.get("kind") or "",
        name=about.get("name") or "",
        uid=about.get("uid") or "",
        text=" ".join((obj.get("note") or "").split()),
        count=series.get("count") or obj.get("deprecatedCount") or 1,
        last=next((datetime.fromisoformat(each) for each in times if each), _EPOCH),
    )
