"""The report of ``status``: one row for each object, Ray group, Serve application and pod, and the warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cluster.kube.manifest import Key, Object
from cluster.kube.ownership import AUTOSCALER
from cluster.kube.readiness import Readiness, State, WarningEvent
from cluster.kube.readiness.conditions import QUOTED, one_line, without_preemption
from cluster.kube.readiness.pods import runs, without_proxy
from cluster.kube.snapshot import Snapshot

WORK = frozenset({"RayJob", "Job", "Workload", "Pod"})
"""Kinds that come and go with what is run on the platform; their state is shown and is not the platform's."""

PARTS = frozenset({"Ray group", "application", "Pod"})
"""Kinds of rows about parts of an object that has a row or a count of its own."""

WARNINGS_LAST = timedelta(hours=1)
WARNING_EXPLAINS = timedelta(minutes=2)
"""A warning that is older says little about why an object is not ready now; it stands among the warnings."""
WARNINGS_SHOWN = 8
_STYLES: dict[State, str] = {"failed": "red", "unknown": "magenta", "progressing": "yellow", "ready": "green"}
_SEVERITY = {state: rank for rank, state in enumerate(_STYLES)}
_SERVE_STATES: dict[str, State] = {"RUNNING": "ready", "DEPLOY_FAILED": "failed", "UNHEALTHY": "failed"}


@dataclass(frozen=True, slots=True)
class Row:
    """A state and its reason; ``why`` ends with the newest warning about an object that is not ready."""

    kind: str
    name: str
    state: State
    why: str
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class WarningRow:
    """A Warning event, with how often and how long ago."""

    about: str
    reason: str
    count: int
    age_s: float
    text: str


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Rows, the worst first. ``there`` counts by kind the objects that are ready by being there and have no row."""

    namespace: str
    ready: bool
    rows: tuple[Row, ...]
    there: Mapping[str, int]
    warnings: tuple[WarningRow, ...]
    not_seen: tuple[str, ...] = ()


def status_report(
    snapshot: Snapshot,
    keys: Collection[Key],
    namespace: str,
    not_seen: tuple[str, ...] = (),
    refused: tuple[str, ...] = (),
) -> StatusReport:
    """The report on ``keys``, the clusters that they have made, and their pods.

    Args:
        snapshot: The objects and events that were seen.
        keys: The objects that are meant, there or not.
        namespace: Namespace of the headline.
        not_seen: Sentences about needed kinds that could not be looked at; any makes the report not ready.
        refused: Sentences about kinds that are not needed and could not be looked at.
    """
    keys = [*keys, *snapshot.children(keys)]
    found = {key: snapshot.readiness(key) for key in keys}
    rows = [_row(snapshot, key, each) for key, each in found.items() if each != Readiness("ready")]
    objects = [snapshot.objects[key] for key in keys if key in snapshot.objects]
    for obj in objects:
        rows += _groups(snapshot, obj) if obj["kind"] == "RayCluster" else _applications(obj)
    pods = {pod["metadata"]["name"]: pod for obj in objects for pod in snapshot.pods(obj)}
    pod_keys = [Key("v1", "Pod", name, pod["metadata"].get("namespace")) for name, pod in pods.items()]
    rows += [
        _row(snapshot, key, each)
        for key in pod_keys
        if key not in found and (each := snapshot.readiness(key)).state != "ready"
    ]
    judged = [each for key, each in found.items() if key.kind not in WORK]
    return StatusReport(
        namespace=namespace,
        ready=bool(judged) and not not_seen and all(each.state == "ready" for each in judged),
        rows=tuple(sorted(rows, key=_order)),
        there=dict(sorted(Counter(key.kind for key, each in found.items() if each == Readiness("ready")).items())),
        warnings=tuple(_warnings(snapshot, keys, pods, [row.why for row in rows])),
        not_seen=(*not_seen, *refused),
    )


def headline(report: StatusReport) -> str:
    """The number of objects in each state, the worst first."""
    counts = Counter(row.state for row in report.rows if row.kind not in PARTS)
    counts["ready"] += sum(report.there.values())
    return ", ".join(f"{counts[state]} {state}" for state in _STYLES if counts[state]) or "no object of the platform"


def lines(report: StatusReport) -> list[str]:
    """One line for each row and warning, without ages, so that two reports can be compared."""
    found = [f"not seen {each}" for each in report.not_seen]
    found += [f"{row.kind} {row.name}: {row.state}{row.why and f': {row.why}'}" for row in report.rows]
    return found + [f"warning {each.about}: {each.reason}: {one_line(each.text)}" for each in report.warnings]


def view(report: StatusReport, server: str) -> RenderableType:
    """The report as tables for a console."""
    state = "[green]ready[/]" if report.ready else "[red]not ready[/]"
    where = f"(namespace {escape(report.namespace)}, {escape(server)})"
    parts: list[RenderableType] = [Text.from_markup(f"{state}  {headline(report)}  {where}")]
    parts += [Text.from_markup(f"[magenta]not seen[/]  {escape(each)}") for each in report.not_seen]
    rows = _table("object", "state", "age", "why")
    for row in report.rows:
        age = "" if row.age_s is None else short_time(row.age_s)
        rows.add_row(Text(f"{row.kind} {row.name}"), Text(row.state, style=_STYLES[row.state]), age, Text(row.why))
    parts += [Text(""), rows] if report.rows else []
    if report.there:
        parts.append(Text(f"there: {', '.join(f'{count} {kind}' for kind, count in report.there.items())}"))
    warnings = _table("warning about", "reason", "times", "last", "text")
    for each in report.warnings[:WARNINGS_SHOWN]:
        last = f"{short_time(each.age_s)} ago"
        warnings.add_row(Text(each.about), each.reason, str(each.count), last, Text(one_line(each.text)))
    parts += [Text(""), warnings] if report.warnings else []
    if more := len(report.warnings[WARNINGS_SHOWN:]):
        parts.append(Text(f"and {more} older"))
    return Group(*parts)


def short_time(seconds: float) -> str:
    """Seconds as ``42s``, ``7m``, ``3h`` or ``2d``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title not in ("why", "text"))
    return table


def _order(row: Row) -> tuple[int, bool, str, str]:
    return _SEVERITY[row.state], row.kind in PARTS, row.kind, row.name


def _row(snapshot: Snapshot, key: Key, found: Readiness) -> Row:
    obj = snapshot.objects.get(key)
    created = obj["metadata"].get("creationTimestamp") if obj else None
    age_s = (snapshot.now - datetime.fromisoformat(created)).total_seconds() if created else None
    why = found.why
    if obj is not None and key.kind != "Pod" and found.state in ("progressing", "unknown"):
        own = [each for each in snapshot.related(obj).events if (each.kind, each.name) == (key.kind, key.name)]
        new = [each for each in own if each.text not in why and snapshot.now - each.last <= WARNING_EXPLAINS]
        for event in new[:1]:
            times = f", {event.count} times" if event.count > 1 else ""
            ago = short_time((snapshot.now - event.last).total_seconds())
            why += f" [{event.reason}{times}, {ago} ago: {one_line(event.text, QUOTED)}]"
    return Row(key.kind, key.name, found.state, why, age_s)


def _groups(snapshot: Snapshot, cluster: Object) -> Iterator[Row]:
    """The head and every worker group.

    A worker that runs and lacks only a Serve proxy counts as ready, as it is for training.
    """
    name, spec = cluster["metadata"]["name"], cluster["spec"]
    running = [pod for pod in snapshot.pods(cluster) if runs(pod, snapshot.now)]
    ready = Counter((pod["metadata"].get("labels") or {}).get("ray.io/group") for pod in running)
    scaled, suspended = bool(spec.get("enableInTreeAutoscaling")), bool(spec.get("suspend"))
    head = {"groupName": "head", "replicas": 1}
    for group in [head, *(spec.get("workerGroupSpecs") or [])]:
        group_name, hosts = group["groupName"], group.get("numOfHosts") or 1
        there = ready["headgroup" if group is head else group_name]
        stopped = suspended or bool(group.get("suspend"))
        wanted = 0 if stopped else (group.get("replicas") or 0) * hosts
        least, most = group.get("minReplicas") or 0, group.get("maxReplicas")
        leaving = (group.get("scaleStrategy") or {}).get("workersToDelete") or []
        idle = [
            pod
            for pod in running
            if pod["metadata"]["labels"].get("ray.io/group") == group_name and without_proxy(pod, snapshot.now)
        ]
        bounds = f"{least} to {most}" if most is not None and most < 2**31 - 1 else f"{least} or more"
        notes = [
            f"{there} of {wanted} ready",
            "suspended" if stopped else "",
            f"{hosts} hosts a replica" if hosts > 1 else "",
            f"{len(leaving)} named to leave" if leaving else "",
            f"{len(idle)} without a Serve proxy" if idle else "",
        ]
        if group is not head and not stopped:
            notes += [f"{bounds} replicas", _last_set_by(cluster)] if scaled else ["fixed: no autoscaler"]
        state: State = "ready" if there >= wanted else "progressing"
        yield Row("Ray group", f"{name}/{group_name}", state, ", ".join(each for each in notes if each))


def _last_set_by(cluster: Object) -> str:
    """The latest writer of ``workerGroupSpecs``: the list is atomic, so that the latest owner set the numbers."""
    owners = [
        entry
        for entry in cluster["metadata"].get("managedFields") or []
        if "f:workerGroupSpecs" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    if not owners:
        return ""
    manager = max(owners, key=lambda entry: entry.get("time") or "")["manager"]
    return f"last set by {'the autoscaler' if manager == AUTOSCALER else manager}"


def _applications(obj: Object) -> Iterator[Row]:
    """The applications of a RayService, on its active cluster and on the one that is to follow."""
    if obj["kind"] != "RayService":
        return
    for part in ("activeServiceStatus", "pendingServiceStatus"):
        service = (obj.get("status") or {}).get(part) or {}
        for name, application in sorted((service.get("applicationStatuses") or {}).items()):
            state = application.get("status") or "NOT_STARTED"
            deployments = []
            for deployment, each in sorted((application.get("serveDeploymentStatuses") or {}).items()):
                message = "" if each.get("status") == "HEALTHY" else one_line(each.get("message") or "", 120)
                deployments.append(f"{deployment} {each.get('status')}{message and f': {message}'}")
            message = "" if state == "RUNNING" else one_line(application.get("message") or "")
            why = "; ".join(each for each in (state, message, *deployments) if each)
            cluster = service.get("rayClusterName") or obj["metadata"]["name"]
            yield Row("application", f"{cluster}/{name}", _SERVE_STATES.get(state, "progressing"), why)


def _warnings(
    snapshot: Snapshot, keys: Collection[Key], pods: Mapping[str, Object], reasons: list[str]
) -> Iterator[WarningRow]:
    """The warnings that no row quotes; one row for all pods that have the same one.

    That nothing answers where a worker has no proxy is no warning.
    """
    about = {(key.kind, key.name) for key in keys} | {("Pod", name) for name in pods}
    names = tuple(f"{key.name}-" for key in keys)
    same: dict[tuple[str, str, str], list[WarningEvent]] = {}
    for event in snapshot.warnings:
        # Events about a pod that is gone, or could not be made, explain its owner.
        ours = (event.kind, event.name) in about or event.name.startswith(names)
        texts = {one_line(event.text, QUOTED), one_line(without_preemption(event.text))}
        quoted = any(text and text in why for text in texts for why in reasons)
        if not ours or quoted or snapshot.now - event.last > WARNINGS_LAST:
            continue
        refused = event.reason == "Unhealthy" and "connection refused" in event.text
        if refused and event.name in pods and without_proxy(pods[event.name], snapshot.now):
            continue
        same.setdefault((event.kind, event.reason, event.text.replace(event.name, "")), []).append(event)
    for (kind, reason, _), events in same.items():
        name = events[0].name + (f" and {len(events) - 1} more" if len(events) > 1 else "")
        age_s = (snapshot.now - events[0].last).total_seconds()
        yield WarningRow(f"{kind} {name}", reason, sum(each.count for each in events), age_s, events[0].text)
