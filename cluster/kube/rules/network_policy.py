"""The NetworkPolicies that the operator makes: rules only for a direction that is denied."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.kube.manifest import Object
from cluster.kube.rules.cluster_spec import ClusterSpec
from cluster.kube.rules.finding import SET, Finding
from cluster.kube.rules.names import is_dns_1123_label
from cluster.kube.rules.reading import mapping, objects, text

_POINTLESS = {"DenyAllEgress": "ingressRules", "DenyAllIngress": "egressRules"}


def network_policy_findings(cluster: ClusterSpec) -> Iterator[Finding]:
    policy = cluster.spec.get("networkPolicy")
    if not isinstance(policy, dict):
        return
    if not cluster.gates.network_policy:
        yield Finding(
            "networkPolicy", SET, "nothing, unless the operator has its feature gate RayClusterNetworkPolicy on"
        )
    for place, part in _parts(policy):
        pointless = _POINTLESS.get(text(policy.get("mode")), "")
        if part.get(pointless):
            yield Finding(f"{place}.{pointless}", part[pointless], f"nothing with mode {policy['mode']}")
    for group in cluster.workers:
        if not is_dns_1123_label(group.name):
            yield Finding(
                f"{group.path}.groupName",
                group.name,
                "up to 63 lower-case letters, digits and '-' with networkPolicy: it becomes part of a policy's name",
            )
    known = {group.name for group in cluster.workers}
    for index, part in enumerate(objects(policy.get("workerGroups"))):
        if text(part.get("groupName")) not in known:
            yield Finding(
                f"networkPolicy.workerGroups[{index}].groupName",
                part.get("groupName"),
                f"a group of workerGroupSpecs: {', '.join(sorted(known)) or 'there is none'}",
            )


def _parts(policy: Object) -> Iterator[tuple[str, Object]]:
    for name in ("head", "worker"):
        yield f"networkPolicy.{name}", mapping(policy.get(name))
    for index, part in enumerate(objects(policy.get("workerGroups"))):
        yield f"networkPolicy.workerGroups[{index}]", part
