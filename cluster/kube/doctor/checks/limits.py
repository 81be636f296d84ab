"""Would a LimitRange or a ResourceQuota of the namespace refuse what is asked for?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.demand import Pods, pods_of, total_of
from cluster.kube.doctor.facts import Facts, Unknown
from cluster.kube.doctor.needs import resource_of
from cluster.kube.doctor.quantities import amounts, show
from cluster.kube.manifest import Object
from cluster.kube.rules.reading import at, mapping, objects


def limits_checks(facts: Facts, rendered: Sequence[Object]) -> Iterator[Check]:
    pods = pods_of(rendered)
    if pods:
        yield from _limits(facts, pods)
        yield from _quotas(facts, rendered, pods)


def _limits(facts: Facts, pods: Sequence[Pods]) -> Iterator[Check]:
    if isinstance(facts.limit_ranges, Unknown):
        yield Check("limit ranges", "unknown", facts.limit_ranges.why, "see to it that none refuses the pods")
        return
    refused = False
    for limits in facts.limit_ranges:
        for item in objects(at(limits, "spec", "limits")):
            for whose, what, res, has, bound in _broken(pods, item):
                refused = True
                yield Check(
                    "limit ranges",
                    "problem",
                    f"{_name(limits)} refuses {whose}: {res} {show(res, has)} ({what} {show(res, bound)})",
                    "other requests and limits, or another LimitRange",
                )
    if facts.limit_ranges and not refused:
        yield Check("limit ranges", "ok", f"{len(facts.limit_ranges)} that let the pods in")


def _broken(pods: Sequence[Pods], item: Object) -> Iterator[tuple[str, str, str, Fraction, Fraction]]:
    """``(pods, "max" | "min", resource, what they have, the bound)`` of a limit of type Container."""
    if item.get("type") != "Container":
        return
    for entry in pods:
        for container in entry.containers:
            resources = mapping(container.get("resources"))
            limits, requests = amounts(resources.get("limits")), amounts(resources.get("requests"))
            for resource, most in amounts(item.get("max")).items():
                has = limits.get(resource, requests.get(resource))
                if has is not None and has > most:
                    yield entry.name, "max", resource, has, most
            for resource, least in amounts(item.get("min")).items():
                has = requests.get(resource, limits.get(resource))
                if has is not None and has < least:
                    yield entry.name, "min", resource, has, least


def _quotas(facts: Facts, rendered: Sequence[Object], pods: Sequence[Pods]) -> Iterator[Check]:
    subject = "quotas"
    if isinstance(facts.quotas, Unknown):
        yield Check(subject, "unknown", facts.quotas.why, "see to it that there is enough left")
        return
    asked = _asked(rendered, pods)
    short = False
    for quota in facts.quotas:
        used = amounts(at(quota, "status", "used"))
        for name, most in amounts(at(quota, "spec", "hard")).items():
            needed, left = asked.get(name, Fraction(0)), most - used.get(name, Fraction(0))
            if needed <= left or not needed:
                continue
            short = True
            found = f"{_name(quota)}: {name} {show(name, needed)}, {show(name, left)} of {show(name, most)} left"
            if needed > most:
                yield Check(subject, "problem", found, "a larger quota, or smaller requests")
            else:
                yield Check(subject, "warning", found, "a larger quota, unless what is used is this platform itself")
    if facts.quotas and not short:
        yield Check(subject, "ok", f"{len(facts.quotas)} with enough left")


def _asked(rendered: Sequence[Object], pods: Sequence[Pods]) -> dict[str, Fraction]:
    """By the names that quotas use."""
    asked = {f"requests.{name}": amount for name, amount in total_of(pods).items()}
    asked |= {name: asked[f"requests.{name}"] for name in ("cpu", "memory") if f"requests.{name}" in asked}
    asked["pods"] = Fraction(sum(entry.count for entry in pods))
    for obj in rendered:
        group = obj["apiVersion"].partition("/")[0] if "/" in obj["apiVersion"] else ""
        name = f"count/{resource_of(obj['kind'])}" + (f".{group}" if group else "")
        asked[name] = asked.get(name, Fraction(0)) + 1
        if not group:
            asked[resource_of(obj["kind"])] = asked[name]
    return asked


def _name(obj: Object) -> str:
    return str(at(obj, "metadata", "name"))
