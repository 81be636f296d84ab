"""What ``status`` tells: one row per object, Ray group, Serve application, pod that is not ready and warning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cluster.kube.board_ray import ApplicationRow, GroupRow, applications, groups
from cluster.kube.health import Event, Health, State
from cluster.kube.health.pods import without_proxy
from cluster.kube.health.verdict import QUOTED, one_line, without_preemption
from cluster.kube.manifest import Key, Object
from cluster.kube.snapshot import Snapshot

WORK = frozenset({"RayJob", "Job", "Workload", "Pod"})
"""Kinds that come and go with what is run on the platform; their state is shown and is not the platform's."""

WARNINGS_LAST = timedelta(hours=1)
WARNING_EXPLAINS = timedelta(minutes=2)
"""A warning that is older says little about why an object is on its way now; it stands among the warnings."""
_SEVERITY: dict[State, int] = {"failed": 0, "unknown": 1, "progressing": 2, "ready": 3}


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """An object's health; ``why`` ends with its newest warning where it is not ready."""

    kind: str
    name: str
    state: State
    why: str
    age_s: float | None


@dataclass(frozen=True, slots=True)
class PodRow:
    """A pod that is not ready."""

    name: str
    state: State
    why: str
    age_s: float | None


@dataclass(frozen=True, slots=True)
class WarningRow:
    """A Warning event, with how often and how long ago."""

    about: str
    reason: str
    count: int
    age_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Board:
    """All of it. ``there`` counts by kind the objects that are ready by being there and need no row."""

    namespace: str
    ready: bool
    objects: tuple[ObjectRow, ...]
    there: Mapping[str, int]
    groups: tuple[GroupRow, ...]
    applications: tuple[ApplicationRow, ...]
    pods: tuple[PodRow, ...]
    warnings: tuple[WarningRow, ...]
    unseen: tuple[str, ...] = field(default=())


def board(
    snapshot: Snapshot,
    keys: Collection[Key],
    namespace: str,
    unseen: tuple[str, ...] = (),
    refused: tuple[str, ...] = (),
) -> Board:
    """What to tell of ``keys``, of the clusters that they have made, and of their pods.

    Args:
        snapshot: What was seen.
        keys: The objects that are meant, there or not.
        namespace: For the headline.
        unseen: What is needed and could not be looked at, in words; it makes the board not ready.
        refused: What is not needed and could not be looked at; it is told with the others.
    """
    all_keys = [*keys, *snapshot.children(keys)]
    found = {key: snapshot.health(key) for key in all_keys}
    clusters = _clusters(snapshot, all_keys)
    rows, there = [], Counter[str]()
    for key, health in found.items():
        if health == Health("ready"):
            there[key.kind] += 1
        else:
            rows.append(_object_row(snapshot, key, health))
    pods = _pods(snapshot, all_keys)
    pod_rows = _pod_rows(snapshot, pods)
    judged = [health for key, health in found.items() if key.kind not in WORK]
    return Board(
        namespace=namespace,
        ready=bool(judged) and not unseen and all(health.state == "ready" for health in judged),
        objects=tuple(sorted(rows, key=lambda row: (_SEVERITY[row.state], row.kind, row.name))),
        there=dict(sorted(there.items())),
        groups=tuple(row for cluster in clusters for row in groups(snapshot, cluster)),
        applications=tuple(row for key in all_keys for row in applications(snapshot.objects.get(key))),
        pods=tuple(pod_rows),
        warnings=tuple(
            _warnings(snapshot, all_keys, pods, [row.why for row in rows] + [row.why for row in pod_rows])
        ),
        unseen=(*unseen, *refused),
    )


def _age_s(snapshot: Snapshot, time: str | None) -> float | None:
    """Seconds since ``time``, as the API server writes it."""
    return (snapshot.now - datetime.fromisoformat(time)).total_seconds() if time else None


def _object_row(snapshot: Snapshot, key: Key, health: Health) -> ObjectRow:
    obj = snapshot.objects.get(key)
    why = health.why
    if obj is not None and health.state in ("progressing", "unknown"):
        related = snapshot.related(obj).events
        own = [each for each in related if (each.kind, each.name) == (key.kind, key.name) and each.text not in why]
        if own and snapshot.now - own[0].last <= WARNING_EXPLAINS:
            why += f" [{_told(own[0], snapshot.now)}]"
    created = obj["metadata"].get("creationTimestamp") if obj else None
    return ObjectRow(key.kind, key.name, health.state, why, _age_s(snapshot, created))


def _told(event: Event, now: datetime) -> str:
    times = f", {event.count} times" if event.count > 1 else ""
    return (
        f"{event.reason}{times}, {short_time((now - event.last).total_seconds())} ago: {one_line(event.text, QUOTED)}"
    )


def short_time(seconds: float) -> str:
    """As in ``42s``, ``7m``, ``3h``, ``2d``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def _clusters(snapshot: Snapshot, keys: Collection[Key]) -> list[Object]:
    return [snapshot.objects[key] for key in keys if key.kind == "RayCluster" and key in snapshot.objects]


def _pods(snapshot: Snapshot, keys: Collection[Key]) -> list[Object]:
    found: dict[str, Object] = {}
    for key in keys:
        if key in snapshot.objects:
            found |= {pod["metadata"]["name"]: pod for pod in snapshot.pods(snapshot.objects[key])}
    return [found[name] for name in sorted(found)]


def _pod_rows(snapshot: Snapshot, pods: list[Object]) -> list[PodRow]:
    rows = []
    for pod in pods:
        metadata = pod["metadata"]
        health = snapshot.health(Key("v1", "Pod", metadata["name"], metadata.get("namespace")))
        if health.state != "ready":
            age = _age_s(snapshot, metadata.get("creationTimestamp"))
            rows.append(PodRow(metadata["name"], health.state, health.why, age))
    return sorted(rows, key=lambda row: (_SEVERITY[row.state], row.name))


def _warnings(snapshot: Snapshot, keys: Collection[Key], pods: list[Object], told: list[str]) -> Iterator[WarningRow]:
    """Those that no row has told; of pods that say the same one speaks for all.

    That nobody answers where a worker has no proxy is no warning.
    """
    about = {(key.kind, key.name) for key in keys} | {("Pod", pod["metadata"]["name"]) for pod in pods}
    names = tuple(f"{key.name}-" for key in keys)
    no_proxy = {pod["metadata"]["name"] for pod in pods if without_proxy(pod, snapshot.now)}
    same: dict[tuple[str, str, str], list[Event]] = {}
    for event in snapshot.warnings:
        # Of a pod that is gone, or could not be made, the events are its owner's story, too.
        ours = (event.kind, event.name) in about or event.name.startswith(names)
        if not ours or snapshot.now - event.last > WARNINGS_LAST or _is_told(event, told):
            continue
        if event.name in no_proxy and event.reason == "Unhealthy" and "connection refused" in event.text:
            continue
        same.setdefault((event.kind, event.reason, event.text.replace(event.name, "")), []).append(event)
    for (kind, reason, _), events in same.items():
        name = events[0].name + (f" and {len(events) - 1} more" if len(events) > 1 else "")
        age = (snapshot.now - events[0].last).total_seconds()
        yield WarningRow(f"{kind} {name}", reason, sum(each.count for each in events), age, events[0].text)


def _is_told(event: Event, told: list[str]) -> bool:
    texts = {one_line(event.text, QUOTED), one_line(without_preemption(event.text))}
    return any(text and text in why for text in texts for why in told)
