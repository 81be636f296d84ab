"""Pods that rendered objects ask for before anything is scaled up, and the resources that each of them requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from cluster.kube.manifest import Object
from cluster.kube.quantities import amounts
from cluster.kube.reading import at, cluster_spec, mapping, number, objects, text

GPU = "nvidia.com/gpu"
_AUTOSCALER = {"cpu": "500m", "memory": "512Mi"}
"""Resources of the operator's autoscaler container where ``autoscalerOptions.resources`` is absent."""

Amounts = Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Pods:
    """``count`` equal pods at least, ``most`` at most, each with ``requests`` (cores, bytes, devices)."""

    name: str
    count: int
    most: int
    requests: Amounts


def pods_of(rendered: Iterable[Object]) -> list[Pods]:
    """Returns the pods of Deployments, StatefulSets and Ray's groups; those of a RayJob's submitter are left out."""
    rendered = list(rendered)
    autoscalers = {
        text(at(obj, "spec", "scaleTargetRef", "name")): obj["spec"]
        for obj in rendered
        if obj["kind"] == "HorizontalPodAutoscaler"
    }
    found = []
    for obj in rendered:
        if obj["kind"] in ("Deployment", "StatefulSet"):
            name, replicas = obj["metadata"]["name"], number(at(obj, "spec", "replicas"))
            scaled = mapping(autoscalers.get(name) if obj["kind"] == "Deployment" else None)
            count = max(1 if replicas is None else replicas, number(scaled.get("minReplicas")) or 0)
            most = max(count, number(scaled.get("maxReplicas")) or 0)
            requests = requests_of(mapping(at(obj, "spec", "template", "spec")))
            found.append(Pods(f"{obj['kind']} {name}", count, most, requests))
    for obj in rendered:
        if spec := cluster_spec(obj):
            found += _of_cluster(spec)
    return found


def requests_of(spec: Object) -> Amounts:
    """Returns what the scheduler counts for a pod: containers and sidecars together, or the largest init container.

    A container without a request of a resource that it limits requests its limit.
    """
    sidecars = [c for c in objects(spec.get("initContainers")) if c.get("restartPolicy") == "Always"]
    starters = [c for c in objects(spec.get("initContainers")) if c.get("restartPolicy") != "Always"]
    total: dict[str, Fraction] = {}
    for container in [*objects(spec.get("containers")), *sidecars]:
        for name, value in _requests(container).items():
            total[name] = total.get(name, Fraction(0)) + value
    for container in starters:
        for name, value in _requests(container).items():
            total[name] = max(total.get(name, Fraction(0)), value)
    return total


def _of_cluster(cluster: Object) -> Iterator[Pods]:
    autoscaled = cluster.get("enableInTreeAutoscaling") is True
    head = mapping(at(cluster, "headGroupSpec", "template", "spec"))
    if autoscaled:
        resources = at(cluster, "autoscalerOptions", "resources") or {"requests": _AUTOSCALER}
        head = head | {"containers": [*objects(head.get("containers")), {"resources": resources}]}
    yield Pods("Ray head", 1, 1, requests_of(head))
    for group in objects(cluster.get("workerGroupSpecs")):
        hosts = number(group.get("numOfHosts")) or 1
        least = number(group.get("minReplicas")) or 0
        count = least if autoscaled else max(least, number(group.get("replicas")) or 0)
        most = max(count, number(group.get("maxReplicas")) or 0)
        requests = requests_of(mapping(at(group, "template", "spec")))
        yield Pods(f"Ray group {text(group.get('groupName'))}", count * hosts, most * hosts, requests)


def _requests(container: Object) -> Amounts:
    resources = mapping(container.get("resources"))
    return amounts(resources.get("limits")) | amounts(resources.get("requests"))
