"""A RayCluster, on its own or inside of a RayJob or RayService."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.kube.manifest import Object
from cluster.kube.rules.auth import auth_findings
from cluster.kube.rules.autoscaling import autoscaling_findings
from cluster.kube.rules.cluster_spec import ClusterSpec
from cluster.kube.rules.fault_tolerance import fault_tolerance_findings
from cluster.kube.rules.finding import Finding, under
from cluster.kube.rules.gates import Gates
from cluster.kube.rules.groups import group_findings
from cluster.kube.rules.history_server import history_server_findings
from cluster.kube.rules.names import name_findings
from cluster.kube.rules.network_policy import network_policy_findings
from cluster.kube.rules.reading import at, mapping, text
from cluster.kube.rules.tls import tls_findings

_LONGEST_NAME = 53
_MAKER = "ray.io/originated-from-crd"
_RULES = (
    group_findings,
    autoscaling_findings,
    fault_tolerance_findings,
    history_server_findings,
    auth_findings,
    network_policy_findings,
    tls_findings,
)


def raycluster_findings(obj: Object, gates: Gates) -> Iterator[Finding]:
    yield from name_findings(text(at(obj, "metadata", "name")), _LONGEST_NAME)
    spec = ClusterSpec(mapping(obj.get("spec")), mapping(at(obj, "metadata", "annotations")), gates)
    yield from spec_findings(spec, "spec")
    strategy = at(spec.spec, "upgradeStrategy", "type")
    maker = at(obj, "metadata", "labels", _MAKER)
    if strategy is not None and maker in ("RayJob", "RayService"):
        yield from under("spec", upgrade_findings(spec, maker))
    elif strategy not in (None, "Recreate", "None"):
        yield Finding("spec.upgradeStrategy.type", strategy, "Recreate or None")


def spec_findings(cluster: ClusterSpec, prefix: str) -> Iterator[Finding]:
    """The rules of the spec itself; ``prefix`` is its place in the object, annotations stay where they are."""
    for rule in _RULES:
        for finding in rule(cluster):
            yield from [finding] if finding.field.startswith("metadata.") else under(prefix, [finding])


def upgrade_findings(cluster: ClusterSpec, maker: str) -> Iterator[Finding]:
    """The object itself is taken; the RayCluster that is made from it is what the operator then refuses."""
    strategy = at(cluster.spec, "upgradeStrategy", "type")
    if strategy is not None:
        yield Finding("upgradeStrategy.type", strategy, f"nothing in a RayCluster that a {maker} makes")
