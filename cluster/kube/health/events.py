"""Events of both APIs (``v1`` and ``events.k8s.io/v1``), equal ones taken together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cluster.kube.manifest import Object

_VARYING = re.compile(r"\b(?=[a-z0-9]*\d)[a-z0-9]{5}\b|\d+(\.\d+)*")
_BEGINNING = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an object, ``count`` times, last at ``last``."""

    warning: bool
    reason: str
    kind: str
    name: str
    text: str
    count: int
    last: datetime
    uid: str = ""

    @classmethod
    def read(cls, obj: Object) -> Event:
        """From an object of either API."""
        about = obj.get("regarding") or obj.get("involvedObject") or {}
        series = obj.get("series") or {}
        times = (
            series.get("lastObservedTime"),
            obj.get("deprecatedLastTimestamp") or obj.get("lastTimestamp"),
            obj.get("eventTime"),
            obj.get("metadata", {}).get("creationTimestamp"),
        )
        last = next((datetime.fromisoformat(each) for each in times if each), _BEGINNING)
        return cls(
            warning=obj.get("type") == "Warning",
            reason=obj.get("reason") or "",
            kind=about.get("kind") or "",
            name=about.get("name") or "",
            text=" ".join((obj.get("note") or obj.get("message") or "").split()),
            count=series.get("count") or obj.get("deprecatedCount") or obj.get("count") or 1,
            last=last,
            uid=about.get("uid") or "",
        )


def warnings(objects: Iterable[Object]) -> list[Event]:
    """The Warning events, newest first; those that differ in numbers and random names alone are one."""
    found: dict[tuple[str, str, str, str], Event] = {}
    for event in sorted((Event.read(obj) for obj in objects), key=lambda event: event.last):
        if not event.warning:
            continue
        same = (event.kind, event.name, event.reason, _VARYING.sub("#", event.text))
        before = found.pop(same, None)
        found[same] = replace(event, count=event.count + before.count) if before else event
    return sorted(found.values(), key=lambda event: event.last, reverse=True)


def newest(events: Iterable[Event], *reasons: str) -> Event | None:
    """The newest event whose reason begins with one of ``reasons``."""
    found = [each for each in events if each.reason.startswith(reasons)]
    return max(found, key=lambda each: each.last, default=None)
