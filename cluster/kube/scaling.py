"""A worker group of a RayCluster brought to another number of replicas.

There is no ``scale`` subresource, and the group's list has one owner. A JSON patch needs no ownership; its ``test``
operations make sure that it is still this group and still the number that was read: the autoscaler changes it, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.kube.api import Kube
from cluster.kube.errors import StaleError, TestFailedError, UsageError
from cluster.kube.manifest import Key, Object
from cluster.kube.readback import active_cluster, bounds

API_VERSION = "ray.io/v1"
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Scaled:
    """A group before and after."""

    cluster: Key
    group: str
    before: int
    after: int
    autoscaler: bool


def serving_cluster(kube: Kube, namespace: str, service: str) -> Key:
    """The RayCluster that serves for the RayService.

    Raises:
        NotFoundError: no such RayService.
        UsageError: it has no cluster yet.
    """
    key = Key(API_VERSION, "RayService", service, namespace)
    name = active_cluster(kube.get(key))
    if name is None:
        raise UsageError(f"{key} has no RayCluster yet; --cluster names one")
    return Key(API_VERSION, "RayCluster", name, namespace)


def scale(kube: Kube, cluster: Key, group: str, replicas: int, *, dry_run: bool = False) -> Scaled:
    """Bring the group to ``replicas``.

    Raises:
        UsageError: no such group, or a number outside its bounds.
        TestFailedError, StaleError: the group was changed by others each time, five times.
    """
    left = _ATTEMPTS
    while True:
        left -= 1
        obj = kube.get(cluster)
        try:
            return _scale_once(kube, cluster, obj, group, replicas, dry_run)
        except (TestFailedError, StaleError):
            if not left:
                raise


def _scale_once(kube: Kube, cluster: Key, obj: Object, name: str, replicas: int, dry_run: bool) -> Scaled:
    groups = obj["spec"].get("workerGroupSpecs") or []
    index = next((index for index, group in enumerate(groups) if group["groupName"] == name), None)
    if index is None:
        known = ", ".join(group["groupName"] for group in groups) or "none"
        raise UsageError(f"{cluster} has no worker group {name!r}; it has: {known}")
    group = groups[index]
    low, high = bounds(group)
    if not low <= replicas <= high:
        raise UsageError(
            f"{replicas} replicas are outside the bounds of group {name!r} of {cluster}: "
            f"minReplicas is {low}, maxReplicas is {high}; cluster/runbook.md changes the bounds of a running cluster"
        )
    before = int(group.get("replicas") or 0)
    autoscaler = bool(obj["spec"].get("enableInTreeAutoscaling"))
    if before != replicas:
        path = f"/spec/workerGroupSpecs/{index}"
        operations: list[dict[str, Any]] = [{"op": "test", "path": f"{path}/groupName", "value": name}]
        if "replicas" in group:
            operations.append({"op": "test", "path": f"{path}/replicas", "value": group["replicas"]})
        op = "replace" if "replicas" in group else "add"
        operations.append({"op": op, "path": f"{path}/replicas", "value": replicas})
        kube.json_patch(cluster, operations, dry_run=dry_run)
    return Scaled(cluster, name, before, replicas, autoscaler)
