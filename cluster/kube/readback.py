"""Decisions of autoscalers that an apply must not undo: replicas, and workers to be deleted.

Ray's autoscaler writes ``replicas`` and ``scaleStrategy.workersToDelete`` of the groups of a RayCluster; for a
RayService that is the RayCluster which the operator made of it. A HorizontalPodAutoscaler writes ``replicas`` of a
Deployment. A manifest holds none of these decisions: they are read from what is live. All of this is pure.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.ownership import owns

UNBOUNDED = 2**31 - 1
"""``maxReplicas`` where a group sets none: the CRD's default."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A group's replicas as the autoscaler has them; ``sent`` is that within the manifest's bounds."""

    group: str
    manifest: int | None
    live: int
    sent: int

    def __str__(self) -> str:
        text = f"group {self.group}: {self.sent} replicas, as the autoscaler has it"
        return text if self.sent == self.live else f"{text}, but within the manifest's bounds (it has {self.live})"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The object to send instead of the manifest, and the numbers that were carried over into it."""

    obj: Object
    carried: tuple[Carried, ...] = ()


def active_cluster(service: Object) -> str | None:
    """Returns the name of the RayCluster that serves, else of the one that is being brought up, else ``None``."""
    status = service.get("status") or {}
    for part in ("activeServiceStatus", "pendingServiceStatus"):
        name = (status.get(part) or {}).get("rayClusterName")
        if name:
            return str(name)
    return None


def with_live_groups(obj: Object, cluster: Object | None) -> Prepared:
    """Returns the RayCluster or RayService with the replicas of ``cluster``, the live RayCluster (``None``: none).

    Without an autoscaler (``enableInTreeAutoscaling``) the manifest's numbers count: nothing else decides them. With
    one, they are the live ones within the manifest's ``[minReplicas, maxReplicas]``. ``scaleStrategy`` goes with them
    into a RayCluster; a RayService's is not the place for names of pods that its next cluster will not have.
    """
    field = "rayClusterConfig" if obj["kind"] == "RayService" else None
    spec = obj["spec"][field] if field else obj["spec"]
    if cluster is None or not spec.get("enableInTreeAutoscaling"):
        return Prepared(obj)
    obj = copy.deepcopy(obj)
    spec = obj["spec"][field] if field else obj["spec"]
    live = {group["groupName"]: group for group in cluster["spec"].get("workerGroupSpecs") or ()}
    carried = []
    for group in spec.get("workerGroupSpecs") or ():
        found = live.get(group["groupName"])
        if found is None or found.get("replicas") is None:
            continue
        low, high = bounds(group)
        number = min(max(found["replicas"], low), high)
        carried.append(Carried(group["groupName"], group.get("replicas"), found["replicas"], number))
        group["replicas"] = number
        if field is None and found.get("scaleStrategy"):
            group["scaleStrategy"] = copy.deepcopy(found["scaleStrategy"])
    return Prepared(obj, tuple(carried))


def bounds(group: dict[str, Any]) -> tuple[int, int]:
    """Returns a worker group's least and greatest number of replicas, with the CRD's defaults."""
    low, high = group.get("minReplicas"), group.get("maxReplicas")
    return (0 if low is None else int(low), UNBOUNDED if high is None else int(high))


def autoscaled(objects: Iterable[Object], namespace: str | None) -> frozenset[Key]:
    """Returns the objects that the HorizontalPodAutoscalers among ``objects`` scale."""
    found = set()
    for obj in objects:
        if obj["kind"] == "HorizontalPodAutoscaler":
            target = obj["spec"]["scaleTargetRef"]
            where = obj["metadata"].get("namespace", namespace)
            found.add(Key(target["apiVersion"], target["kind"], target["name"], where))
    return frozenset(found)


def without_scaled_replicas(obj: Object, live: Object | None, targets: frozenset[Key], manager: str) -> Object:
    """Returns the object without ``spec.replicas`` where an autoscaler of Kubernetes decides it.

    Where an earlier apply of ours owns the number (there was no autoscaler then), leaving it out would give it up,
    and the default of 1 would replace it: the live number is sent until the autoscaler has written one.
    """
    if key_of(obj) not in targets or "replicas" not in obj.get("spec", {}):
        return obj
    obj = copy.deepcopy(obj)
    del obj["spec"]["replicas"]
    if live is not None and owns(live, manager, "spec", "replicas"):
        obj["spec"]["replicas"] = live["spec"]["replicas"]
    return obj
