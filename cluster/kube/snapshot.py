"""Everything that was seen of a namespace at one moment, and what belongs together in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cluster.kube.health import Event, Health, Related, health, warnings
from cluster.kube.manifest import Key, Object, key_of

EVENTS = ("events.k8s.io/v1", "Event")
POD = ("v1", "Pod")
CLUSTER = ("ray.io/v1", "RayCluster")
PART_OF = "app.kubernetes.io/part-of"
PLATFORM = "tidegate"
CLUSTER_LABEL = "ray.io/cluster"
ORIGIN_LABEL = "ray.io/originated-from-cr-name"


@dataclass(frozen=True)
class Snapshot:
    """Objects by key, without events; the Warning events, newest first; and when it was taken."""

    objects: dict[Key, Object]
    warnings: tuple[Event, ...]
    now: datetime

    @classmethod
    def of(cls, objects: Iterable[Object], now: datetime | None = None) -> Snapshot:
        """From whatever was read, events among it."""
        events, others = [], {}
        for obj in objects:
            if obj["kind"] == "Event":
                events.append(obj)
            else:
                others[key_of(obj)] = obj
        return cls(others, tuple(warnings(events)), now or datetime.now(UTC))

    def of_kind(self, kind: str) -> list[Object]:
        """By name."""
        return sorted(
            (obj for key, obj in self.objects.items() if key.kind == kind), key=lambda obj: obj["metadata"]["name"]
        )

    def health(self, key: Key) -> Health:
        """How the object of ``key`` is; unknown where it is not there."""
        obj = self.objects.get(key)
        return Health("unknown", "is not there") if obj is None else health(obj, self.related(obj))

    def related(self, obj: Object) -> Related:
        """The events and pods of ``obj``."""
        pods = tuple(self.pods(obj))
        about = {(each["kind"], each["metadata"]["name"]) for each in (obj, *pods)}
        uids = {each["metadata"].get("uid") for each in (obj, *pods)} - {None}
        events = [each for each in self.warnings if (each.kind, each.name) in about]
        # An object made anew under an old name is not what the old one's events are about.
        return Related(tuple(each for each in events if not (each.uid and uids) or each.uid in uids), pods, self.now)

    def pods(self, obj: Object) -> list[Object]:
        """The pods that run what ``obj`` stands for."""
        if obj["kind"] == "Pod":
            return [obj]
        clusters = self.clusters(obj)
        wanted = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
        job = obj["metadata"]["name"] if obj["kind"] in ("Job", "RayJob") else None
        found = []
        for pod in self.of_kind("Pod"):
            labels = pod["metadata"].get("labels") or {}
            ours = labels.get(CLUSTER_LABEL) in clusters or (job is not None and labels.get("job-name") == job)
            selected = obj["kind"] in ("Deployment", "StatefulSet") and wanted and wanted.items() <= labels.items()
            if ours or selected:
                found.append(pod)
        return found

    def clusters(self, obj: Object) -> set[str]:
        """The names of the RayClusters that ``obj`` is or has made."""
        name, status = obj["metadata"]["name"], obj.get("status") or {}
        if obj["kind"] == "RayCluster":
            return {name}
        if obj["kind"] == "RayJob":
            # One that was selected is not the job's own: what ails it is told there.
            own = status.get("rayClusterName")
            return {own} if own and not obj["spec"].get("clusterSelector") else set()
        if obj["kind"] != "RayService":
            return set()
        named = {
            (status.get(each) or {}).get("rayClusterName") for each in ("activeServiceStatus", "pendingServiceStatus")
        }
        made = {each["metadata"]["name"] for each in self.of_kind("RayCluster") if _origin(each) == name}
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
        names: set[str] = set()
        for key in keys:
            if key.kind in ("RayService", "RayJob") and key in self.objects:
                names |= self.clusters(self.objects[key])
        return [key for key in self.objects if key.kind == "RayCluster" and key.name in names and key not in keys]


def _origin(cluster: Object) -> str | None:
    return (cluster["metadata"].get("labels") or {}).get(ORIGIN_LABEL)
