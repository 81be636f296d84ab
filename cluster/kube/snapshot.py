"""Snapshot of a namespace: every object that was seen at one moment, and which of them belong together."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.readiness import Readiness, Related, WarningEvent, readiness, warning_events

EVENTS = ("events.k8s.io/v1", "Event")
POD = ("v1", "Pod")
CLUSTER = ("ray.io/v1", "RayCluster")
PART_OF = "app.kubernetes.io/part-of"
PLATFORM = "tidegate"
CLUSTER_LABEL = "ray.io/cluster"
ORIGIN_LABEL = "ray.io/originated-from-cr-name"


@dataclass(frozen=True)
class Snapshot:
    """Objects by key, without events; the Warning events, newest first; and the time."""

    objects: dict[Key, Object]
    warnings: tuple[WarningEvent, ...]
    now: datetime

    @classmethod
    def of(cls, objects: Iterable[Object], now: datetime | None = None) -> Snapshot:
        """A snapshot of objects and events as they were read."""
        events, others = [], {}
        for obj in objects:
            if obj["kind"] == "Event":
                events.append(obj)
            else:
                others[key_of(obj)] = obj
        return cls(others, tuple(warning_events(events)), now or datetime.now(UTC))

    def of_kind(self, kind: str) -> list[Object]:
        """The objects of a kind, sorted by name."""
        return sorted(
            (obj for key, obj in self.objects.items() if key.kind == kind), key=lambda obj: obj["metadata"]["name"]
        )

    def readiness(self, key: Key) -> Readiness:
        """The readiness of the object of ``key``; unknown where it is not there."""
        obj = self.objects.get(key)
        return Readiness("unknown", "is not there") if obj is None else readiness(obj, self.related(obj))

    def related(self, obj: Object) -> Related:
        """The events and pods of ``obj``."""
        pods = tuple(self.pods(obj))
        about = {(each["kind"], each["metadata"]["name"]) for each in (obj, *pods)}
        uids = {each["metadata"].get("uid") for each in (obj, *pods)} - {None}
        events = [each for each in self.warnings if (each.kind, each.name) in about]
        # Events about an older object of this name are not about this one.
        return Related(tuple(each for each in events if not (each.uid and uids) or each.uid in uids), pods, self.now)

    def pods(self, obj: Object) -> list[Object]:
        """The pods that run what ``obj`` stands for."""
        if obj["kind"] == "Pod":
            return [obj]
        clusters = self.clusters(obj)
        selected: dict[str, str] = {}
        if obj["kind"] in ("Deployment", "StatefulSet"):
            selected = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
        job = obj["metadata"]["name"] if obj["kind"] in ("Job", "RayJob") else None
        return [
            pod
            for pod in self.of_kind("Pod")
            for labels in [pod["metadata"].get("labels") or {}]
            if labels.get(CLUSTER_LABEL) in clusters
            or (job is not None and labels.get("job-name") == job)
            or (selected and selected.items() <= labels.items())
        ]

    def clusters(self, obj: Object) -> set[str]:
        """The names of the RayClusters that ``obj`` is or has made."""
        name, status = obj["metadata"]["name"], obj.get("status") or {}
        if obj["kind"] == "RayCluster":
            return {name}
        if obj["kind"] == "RayJob":
            # A cluster that was selected is not the job's own.
            own = status.get("rayClusterName")
            return {own} if own and not obj["spec"].get("clusterSelector") else set()
        if obj["kind"] != "RayService":
            return set()
        named = {
            (status.get(each) or {}).get("rayClusterName") for each in ("activeServiceStatus", "pendingServiceStatus")
        }
        found = [each["metadata"] for each in self.of_kind("RayCluster")]
        made = {each["name"] for each in found if (each.get("labels") or {}).get(ORIGIN_LABEL) == name}
        return {each for each in named | made if each}

    def platform(self) -> list[Key]:
        """The objects that are labelled as the platform's, and the clusters that they have made; pods left out."""
        ours = {
            key: obj
            for key, obj in self.objects.items()
            if (obj["metadata"].get("labels") or {}).get(PART_OF) == PLATFORM and key.kind != "Pod"
        }
        return [*ours, *self.children(ours)]

    def children(self, keys: Collection[Key]) -> list[Key]:
        """The RayClusters that the RayServices and RayJobs among ``keys`` have made."""
        makers = [key for key in keys if key.kind in ("RayService", "RayJob") and key in self.objects]
        names = set().union(*(self.clusters(self.objects[key]) for key in makers))
        return [key for key in self.objects if key.kind == "RayCluster" and key.name in names and key not in keys]
