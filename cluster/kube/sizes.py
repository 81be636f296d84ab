"""Sizes of an overlay: pods of each part, the requests of each pod, and the totals at least and at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from cluster.kube.demand import GPU, Amounts, Pods, pods_of
from cluster.kube.manifest import Object
from cluster.kube.quantities import parse, show
from cluster.kube.reading import at, objects, text

RESOURCES = ("cpu", "memory", GPU)


@dataclass(frozen=True, slots=True)
class Size:
    """One line: ``count`` pods at least, ``most`` at most, each with ``requests``; ``storage`` in bytes of each."""

    name: str
    count: int
    most: int
    requests: Amounts
    storage: Fraction = Fraction(0)


def sizes(rendered: Sequence[Object]) -> list[Size]:
    """Returns each part with pods, each volume that is claimed, then ``at least`` and ``at most`` of all together."""
    pods = pods_of(rendered)
    found = [Size(each.name, each.count, each.most, each.requests, _storage(each, rendered)) for each in pods]
    found += [
        Size(
            f"volume {obj['metadata']['name']}", 0, 0, {}, parse(at(obj, "spec", "resources", "requests", "storage"))
        )
        for obj in rendered
        if obj["kind"] == "PersistentVolumeClaim"
    ]
    least, most = [each.count for each in found], [each.most for each in found]
    return [*found, _together("at least", found, least), _together("at most", found, most)]


def cells(size: Size) -> tuple[str, ...]:
    """Returns a table's cells: name, pods, CPU, memory, GPUs, storage."""
    pods = f"{size.count}" if size.count == size.most else f"{size.count} to {size.most}"
    amounts = [show(name, size.requests[name]) if size.requests.get(name) else "" for name in RESOURCES]
    storage = show("storage", size.storage) if size.storage else ""
    return (size.name, pods if size.most else "", *amounts, storage)


def _storage(pods: Pods, rendered: Sequence[Object]) -> Fraction:
    kind, _, name = pods.name.partition(" ")
    found = (
        claim
        for obj in rendered
        if kind == "StatefulSet" and (obj["kind"], text(at(obj, "metadata", "name"))) == (kind, name)
        for claim in objects(at(obj, "spec", "volumeClaimTemplates"))
    )
    return sum((parse(at(claim, "spec", "resources", "requests", "storage")) for claim in found), Fraction(0))


def _together(name: str, lines: Sequence[Size], counts: Sequence[int]) -> Size:
    total = {
        resource: sum(
            (line.requests.get(resource, Fraction(0)) * count for line, count in zip(lines, counts, strict=True)),
            Fraction(0),
        )
        for resource in RESOURCES
    }
    storage = sum(
        (line.storage * max(count, not line.most) for line, count in zip(lines, counts, strict=True)), Fraction(0)
    )
    return Size(name, sum(counts), sum(counts), total, storage)
