"""Do the nodes hold what is asked for before anything is scaled up?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.demand import GPU, Pods, pods_of
from cluster.kube.doctor.facts import Facts, Unknown
from cluster.kube.doctor.quantities import amounts, show
from cluster.kube.manifest import Object
from cluster.kube.rules.reading import at, mapping, objects, text

_SUBJECT = "nodes"
_BLOCKING = ("NoSchedule", "NoExecute")


@dataclass(slots=True)
class _Room:
    labels: Object
    free: dict[str, Fraction]


def capacity_checks(facts: Facts, rendered: Iterable[Object]) -> Iterator[Check]:
    pods = pods_of(rendered)
    if not pods:
        return
    if isinstance(facts.nodes, Unknown):
        yield Check(_SUBJECT, "unknown", facts.nodes.why, "see to it that there is room for what is requested")
        return
    yield from _gpus(pods, facts.nodes)
    yield _fit(pods, facts.nodes)


def _gpus(pods: Sequence[Pods], nodes: Sequence[Object]) -> Iterator[Check]:
    asking = [entry for entry in pods if entry.requests.get(GPU) and entry.most]
    if not asking:
        return
    least = sum((entry.requests[GPU] * entry.count for entry in asking), Fraction(0))
    there = sum((_allocatable(node).get(GPU, Fraction(0)) for node in nodes if _takes_pods(node)), Fraction(0))
    groups = ", ".join(entry.name for entry in asking)
    found = f"{show(GPU, there)} {GPU} allocatable; {groups} ask for {show(GPU, least)} at least"
    advice = "GPU nodes with NVIDIA's device plugin, or a node autoscaler that adds them"
    if there < least:
        yield Check(_SUBJECT, "problem", found, advice)
    elif not there:
        yield Check(_SUBJECT, "warning", found, advice)
    else:
        yield Check(_SUBJECT, "ok", found)


def _fit(pods: Sequence[Pods], nodes: Sequence[Object]) -> Check:
    """First fit, the largest pods first, on empty nodes: what does not even fit there fits nowhere."""
    rooms = [
        _Room(mapping(at(node, "metadata", "labels")), _allocatable(node)) for node in nodes if _takes_pods(node)
    ]
    total, left = 0, []
    ordered = sorted(
        pods, key=lambda entry: (entry.requests.get(GPU, 0), entry.requests.get("memory", 0)), reverse=True
    )
    for entry in ordered:
        total += entry.count
        left += [entry.name for _ in range(entry.count) if not _place(entry, rooms)]
    found = f"{total} pods at least, {len(rooms)} nodes that take pods"
    if left:
        names = ", ".join(f"{name} ({left.count(name)})" for name in dict.fromkeys(left))
        return Check(
            _SUBJECT,
            "warning",
            f"{found}; even were they empty, no room for: {names}",
            "more or larger nodes, or smaller requests",
        )
    return Check(_SUBJECT, "ok", f"{found}: room enough, were they empty")


def _place(entry: Pods, rooms: Iterable[_Room]) -> bool:
    wanted = mapping(entry.spec.get("nodeSelector"))
    # The scheduler looks at every resource of a request, so one that a node does not have is a room of none.
    for room in rooms:
        fits = all(room.free.get(name, Fraction(0)) >= amount for name, amount in entry.requests.items())
        if fits and all(room.labels.get(key) == value for key, value in wanted.items()):
            for name, amount in entry.requests.items():
                room.free[name] -= amount
            return True
    return False


def _takes_pods(node: Object) -> bool:
    """Ready, not cordoned, no control plane. Taints are left to tolerations: GPU nodes have them, too."""
    ready = any(
        c.get("type") == "Ready" and c.get("status") == "True" for c in objects(at(node, "status", "conditions"))
    )
    taints = [
        text(taint.get("key"))
        for taint in objects(at(node, "spec", "taints"))
        if taint.get("effect") in _BLOCKING and text(taint.get("key")).startswith("node-role.kubernetes.io/")
    ]
    return ready and at(node, "spec", "unschedulable") is not True and not taints


def _allocatable(node: Object) -> dict[str, Fraction]:
    return amounts(at(node, "status", "allocatable"))
