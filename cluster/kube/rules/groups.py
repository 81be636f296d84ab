"""The head's group and the worker groups: containers, resources, labels, replicas."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.kube.rules import names
from cluster.kube.rules.cluster_spec import ClusterSpec, Group
from cluster.kube.rules.finding import Finding
from cluster.kube.rules.reading import mapping, number

_RESOURCE_PARAMS = ("num-cpus", "num-gpus", "memory", "resources")
_NO_LIMIT = 2**31 - 1
"""What the CRD writes where ``maxReplicas`` is left out; ``minReplicas`` becomes 0."""


def group_findings(cluster: ClusterSpec) -> Iterator[Finding]:
    for group in (cluster.head, *cluster.workers):
        if not group.containers:
            yield Finding(f"{group.path}.template.spec.containers", [], "at least one container, Ray's own first")
        yield from _resources(group)
        yield from _labels(group)
    for group in cluster.workers:
        yield from _replicas(group)
        yield from _suspend(cluster, group)


def _resources(group: Group) -> Iterator[Finding]:
    given = {name: group.start_params[name] for name in _RESOURCE_PARAMS if group.start_params.get(name)}
    resources = mapping(group.spec.get("resources"))
    if given and resources:
        yield Finding(
            f"{group.path}.resources",
            resources,
            f"nothing, while rayStartParams has {', '.join(given)}; one of the two",
        )


def _labels(group: Group) -> Iterator[Finding]:
    if "labels" in group.start_params:
        yield Finding(
            f"{group.path}.rayStartParams.labels", group.start_params["labels"], f"{group.path}.labels instead"
        )
    for key, value in mapping(group.spec.get("labels")).items():
        if not names.is_label_key(str(key)):
            yield Finding(f"{group.path}.labels", key, f"a key of {names.LABEL_KEY}")
        if isinstance(value, str) and not names.is_label_value(value):
            yield Finding(f"{group.path}.labels[{key}]", value, names.LABEL_VALUE)


def _replicas(group: Group) -> Iterator[Finding]:
    least, most = number(group.spec.get("minReplicas")), number(group.spec.get("maxReplicas"))
    for name, value in (("minReplicas", least), ("maxReplicas", most)):
        if value is not None and value < 0:
            yield Finding(f"{group.path}.{name}", value, "0 or more")
    low, high = least or 0, _NO_LIMIT if most is None else most
    if low > high:
        yield Finding(f"{group.path}.minReplicas", low, f"at most maxReplicas, which is {high}")


def _suspend(cluster: ClusterSpec, group: Group) -> Iterator[Finding]:
    if group.spec.get("suspend") is not True:
        return
    field = f"{group.path}.suspend"
    if not cluster.gates.deletion_policy:
        yield Finding(field, True, "true only with the operator's feature gate RayJobDeletionPolicy")
    if cluster.autoscaled:
        yield Finding(field, True, "false while enableInTreeAutoscaling is true")
