"""What is deleted after a RayJob, and when: rules by condition, or the older policies on success and on failure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from cluster.kube.manifest import Object
from cluster.kube.rules.finding import Finding
from cluster.kube.rules.gates import Gates
from cluster.kube.rules.reading import at, mapping, number, objects

_ORDER = ("DeleteWorkers", "DeleteCluster", "DeleteSelf")
_CONDITIONS = ("jobStatus", "jobDeploymentStatus")
_OLD = ("onSuccess", "onFailure")


def deletion_findings(spec: Object, gates: Gates) -> Iterator[Finding]:
    """Fields are relative to the job's spec."""
    shutdown = spec.get("shutdownAfterJobFinishes") is True
    seconds = number(spec.get("ttlSecondsAfterFinished")) or 0
    if seconds < 0:
        yield Finding("ttlSecondsAfterFinished", seconds, "0 or more seconds")
    if seconds > 0 and not shutdown:
        yield Finding("ttlSecondsAfterFinished", seconds, "0, unless shutdownAfterJobFinishes is true")
    strategy = spec.get("deletionStrategy")
    if not isinstance(strategy, dict):
        return
    if not gates.deletion_policy:
        yield Finding(
            "deletionStrategy", strategy, "nothing without the operator's feature gate RayJobDeletionPolicy"
        )
    rules, old = objects(strategy.get("deletionRules")), [name for name in _OLD if strategy.get(name) is not None]
    if rules and shutdown:
        yield Finding("deletionStrategy.deletionRules", rules, "none while shutdownAfterJobFinishes is true")
    if rules and old:
        yield Finding(f"deletionStrategy.{old[0]}", strategy[old[0]], "nothing beside deletionRules")
    if not rules and not old:
        yield Finding("deletionStrategy", strategy, "deletionRules, or onSuccess and onFailure both")
    yield from _by_rules(spec, rules)
    if old:
        yield from _by_policies(spec, strategy)


def _by_rules(spec: Object, rules: list[Object]) -> Iterator[Finding]:
    seconds_of: dict[tuple[str, str], dict[str, tuple[int, str]]] = defaultdict(dict)
    for index, rule in enumerate(rules):
        place = f"deletionStrategy.deletionRules[{index}]"
        policy, condition = str(rule.get("policy")), mapping(rule.get("condition"))
        given = [name for name in _CONDITIONS if condition.get(name) is not None]
        seconds = number(condition.get("ttlSeconds")) or 0
        if len(given) != 1:
            yield Finding(f"{place}.condition", condition, f"exactly one of {' and '.join(_CONDITIONS)}")
            continue
        if seconds < 0:
            yield Finding(f"{place}.condition.ttlSeconds", seconds, "0 or more seconds")
            continue
        unfit = list(_unfit(spec, f"{place}.policy", policy))
        if unfit:
            yield from unfit
            continue
        seen = seconds_of[given[0], str(condition[given[0]])]
        if policy in seen:
            yield Finding(
                f"{place}.policy",
                policy,
                f"one rule a policy for {given[0]} {condition[given[0]]}; {seen[policy][1]} has it",
            )
            continue
        seen[policy] = (seconds, place)
    for (name, value), seen in seconds_of.items():
        ordered = [(policy, *seen[policy]) for policy in _ORDER if policy in seen]
        for (earlier, least, _), (_, seconds, place) in pairwise(ordered):
            if seconds < least:
                yield Finding(
                    f"{place}.condition.ttlSeconds",
                    seconds,
                    f"at least {least}, which is when {earlier} comes for {name} {value}",
                )


def _by_policies(spec: Object, strategy: Object) -> Iterator[Finding]:
    for name in _OLD:
        place, policy = f"deletionStrategy.{name}", at(strategy, name, "policy")
        if strategy.get(name) is None:
            yield Finding(place, None, "a policy: onSuccess and onFailure come together")
        elif policy is None:
            yield Finding(f"{place}.policy", None, "DeleteCluster, DeleteWorkers, DeleteSelf or DeleteNone")
        else:
            yield from _unfit(spec, f"{place}.policy", str(policy))
            if policy == "DeleteNone" and spec.get("shutdownAfterJobFinishes") is True:
                yield Finding(f"{place}.policy", policy, "another policy while shutdownAfterJobFinishes is true")


def _unfit(spec: Object, field: str, policy: str) -> Iterator[Finding]:
    if policy in ("DeleteCluster", "DeleteWorkers") and mapping(spec.get("clusterSelector")):
        yield Finding(
            field, policy, "DeleteSelf or DeleteNone: with clusterSelector the cluster is not the job's own"
        )
    elif policy == "DeleteWorkers" and at(spec, "rayClusterSpec", "enableInTreeAutoscaling") is True:
        yield Finding(field, policy, "another policy with the autoscaler, which would bring the workers back")
