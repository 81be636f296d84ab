"""A RayService: its annotations, its cluster, and how an upgrade passes the traffic on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cluster.kube.manifest import Object
from cluster.kube.rules.auth import unsupported_findings
from cluster.kube.rules.cluster import spec_findings, upgrade_findings
from cluster.kube.rules.cluster_spec import ClusterSpec
from cluster.kube.rules.durations import nanoseconds
from cluster.kube.rules.finding import Finding, under
from cluster.kube.rules.gates import Gates
from cluster.kube.rules.names import name_findings
from cluster.kube.rules.reading import at, mapping, number, text

INCREMENTAL = "NewClusterWithIncrementalUpgrade"
INITIALIZING_TIMEOUT = "ray.io/initializing-timeout"
_LONGEST_NAME = 47
_UPGRADES = ("NewCluster", INCREMENTAL, "None")
_INTEGER = re.compile(r"[+-]?[0-9]+")


def rayservice_findings(obj: Object, gates: Gates) -> Iterator[Finding]:
    yield from name_findings(text(at(obj, "metadata", "name")), _LONGEST_NAME)
    spec, annotations = mapping(obj.get("spec")), mapping(at(obj, "metadata", "annotations"))
    yield from _initializing_timeout(text(annotations.get(INITIALIZING_TIMEOUT)))
    cluster = ClusterSpec(mapping(spec.get("rayClusterConfig")), annotations, gates)
    yield from under("spec.rayClusterConfig", unsupported_findings(cluster, "RayService"))
    yield from under("spec.rayClusterConfig", upgrade_findings(cluster, "RayService"))
    yield from spec_findings(cluster, "spec.rayClusterConfig")
    name = at(cluster.spec, "headGroupSpec", "headService", "metadata", "name")
    if name:
        field = "spec.rayClusterConfig.headGroupSpec.headService.metadata.name"
        yield Finding(field, name, "nothing: each cluster of an upgrade needs a head Service of its own")
    yield from _upgrade(spec, cluster)
    delay = number(spec.get("rayClusterDeletionDelaySeconds"))
    if delay is not None and delay < 0:
        yield Finding("spec.rayClusterDeletionDelaySeconds", delay, "0 or more seconds")


def _initializing_timeout(written: str) -> Iterator[Finding]:
    if not written:
        return
    try:
        ahead = nanoseconds(written) > 0
    except ValueError:
        whole = int(written) if _INTEGER.fullmatch(written) else 0
        ahead = 0 < whole < 2**63
    if not ahead:
        yield Finding(
            f"metadata.annotations[{INITIALIZING_TIMEOUT}]",
            written,
            "a duration above 0 (5m, 1h30m) or whole seconds",
        )


def _upgrade(spec: Object, cluster: ClusterSpec) -> Iterator[Finding]:
    field, kind = "spec.upgradeStrategy.type", at(spec, "upgradeStrategy", "type")
    if kind is not None and kind not in _UPGRADES:
        yield Finding(field, kind, ", ".join(_UPGRADES))
    if kind != INCREMENTAL or not cluster.gates.incremental_upgrade:
        return
    if not cluster.autoscaled:
        yield Finding(field, kind, "NewCluster or None, unless rayClusterConfig.enableInTreeAutoscaling is true")
    options = at(spec, "upgradeStrategy", "clusterUpgradeOptions")
    place = "spec.upgradeStrategy.clusterUpgradeOptions"
    if not isinstance(options, dict):
        yield Finding(place, None, f"gatewayClassName, stepSizePercent and intervalSeconds, as the type is {kind}")
        return
    surge = number(options.get("maxSurgePercent", 100))  # the CRD's default
    step = number(options.get("stepSizePercent"))
    if surge is not None and not 0 <= surge <= 100:
        yield Finding(f"{place}.maxSurgePercent", surge, "0 to 100")
    if step is None or not 0 <= step <= 100:
        yield Finding(f"{place}.stepSizePercent", step, "0 to 100")
    elif surge is not None and step > surge:
        yield Finding(f"{place}.stepSizePercent", step, f"at most maxSurgePercent, which is {surge}")
    interval = number(options.get("intervalSeconds"))
    if interval is None or interval <= 0:
        yield Finding(f"{place}.intervalSeconds", interval, "1 or more seconds")
    if not options.get("gatewayClassName"):
        yield Finding(f"{place}.gatewayClassName", options.get("gatewayClassName"), "the name of a GatewayClass")
