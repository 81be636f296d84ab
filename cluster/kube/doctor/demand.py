"""The pods that the rendered objects ask for when nothing is scaled up yet, and what each of them requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from cluster.kube.doctor.needs import cluster_specs
from cluster.kube.doctor.quantities import amounts
from cluster.kube.manifest import Object
from cluster.kube.rules.cluster_spec import ClusterSpec
from cluster.kube.rules.reading import at, mapping, number, objects, text

GPU = "nvidia.com/gpu"
_AUTOSCALER = {"cpu": "500m", "memory": "512Mi"}
"""What the operator gives its autoscaler container where ``autoscalerOptions.resources`` says nothing."""

Amounts = Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Pods:
    """``count`` equal pods; ``most`` is how many there may come to be. ``spec`` is their pod spec."""

    name: str
    count: int
    most: int
    requests: Amounts
    spec: Object

    @property
    def containers(self) -> list[Object]:
        return [*objects(self.spec.get("initContainers")), *objects(self.spec.get("containers"))]


def pods_of(rendered: Iterable[Object]) -> list[Pods]:
    """Deployments, StatefulSets and Ray's groups. The pods of a RayJob's submitter are not counted."""
    rendered = list(rendered)
    floors = {
        text(at(obj, "spec", "scaleTargetRef", "name")): obj["spec"]
        for obj in rendered
        if obj["kind"] == "HorizontalPodAutoscaler"
    }
    found = []
    for obj in rendered:
        if obj["kind"] in ("Deployment", "StatefulSet"):
            name, asked = obj["metadata"]["name"], number(at(obj, "spec", "replicas"))
            scaled = mapping(floors.get(name) if obj["kind"] == "Deployment" else None)
            count = max(1 if asked is None else asked, number(scaled.get("minReplicas")) or 0)
            spec = mapping(at(obj, "spec", "template", "spec"))
            most = max(count, number(scaled.get("maxReplicas")) or 0)
            found.append(Pods(f"{obj['kind']} {name}", count, most, requests_of(spec), spec))
    for spec in cluster_specs(rendered):
        found += _of_cluster(ClusterSpec(spec))
    return found


def requests_of(spec: Object) -> Amounts:
    """What the scheduler counts: containers and sidecars together, or the largest start-up container if that is more.

    A container without a request of something that it limits requests its limit.
    """
    sidecars = [c for c in objects(spec.get("initContainers")) if c.get("restartPolicy") == "Always"]
    starters = [c for c in objects(spec.get("initContainers")) if c.get("restartPolicy") != "Always"]
    total = _sum(_asked(container) for container in chain(objects(spec.get("containers")), sidecars))
    return _largest([total, *map(_asked, starters)])


def _of_cluster(cluster: ClusterSpec) -> Iterator[Pods]:
    spec = mapping(at(cluster.head.spec, "template", "spec"))
    if cluster.autoscaled:
        options = mapping(cluster.spec.get("autoscalerOptions"))
        autoscaler = {
            "name": "autoscaler",
            "resources": options.get("resources") or {"requests": _AUTOSCALER, "limits": _AUTOSCALER},
            "securityContext": options.get("securityContext"),
        }
        spec = spec | {"containers": [*objects(spec.get("containers")), autoscaler]}
    yield Pods("Ray head", 1, 1, requests_of(spec), spec)
    for group in cluster.workers:
        hosts = number(group.spec.get("numOfHosts")) or 1
        least = number(group.spec.get("minReplicas")) or 0
        asked = least if cluster.autoscaled else max(least, number(group.spec.get("replicas")) or 0)
        most = number(group.spec.get("maxReplicas"))
        spec = mapping(at(group.spec, "template", "spec"))
        count = asked * hosts
        yield Pods(f"Ray group {group.name}", count, max(count, (most or 0) * hosts), requests_of(spec), spec)


def _asked(container: Object) -> Amounts:
    resources = mapping(container.get("resources"))
    return amounts(resources.get("limits")) | amounts(resources.get("requests"))


def _sum(entries: Iterable[Amounts]) -> Amounts:
    total: dict[str, Fraction] = {}
    for entry in entries:
        for name, value in entry.items():
            total[name] = total.get(name, Fraction(0)) + value
    return total


def _largest(entries: Iterable[Amounts]) -> Amounts:
    found: dict[str, Fraction] = {}
    for entry in entries:
        for name, value in entry.items():
            found[name] = max(found.get(name, Fraction(0)), value)
    return found


def total_of(pods: Iterable[Pods]) -> Amounts:
    """All of them together, at their least count."""
    return _sum({name: value * entry.count for name, value in entry.requests.items()} for entry in pods)
