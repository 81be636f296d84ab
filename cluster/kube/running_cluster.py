"""Differences between a RayService's manifest and the RayCluster that runs for it, and what becomes of them.

The operator compares the two without replicas, bounds, tolerations and scheduling gates (KubeRay 1.7.0,
``GenerateHashWithoutReplicasAndWorkersToDelete``). Where the rest is
equal, nothing is passed on, those fields included. Otherwise it makes a new cluster, unless ``upgradeStrategy.type``
is ``None``: then the old one stays as it is.
"""

from __future__ import annotations

import re

from cluster.kube.comparison import Difference, differences
from cluster.kube.manifest import Object

_REPLICAS = re.compile(r"^workerGroupSpecs\[[^]]*\]\.(replicas|scaleStrategy)\b")
_NOT_COMPARED = re.compile(
    r"^(workerGroupSpecs\[[^]]*\]\.(minReplicas|maxReplicas)"
    r"|(headGroupSpec|workerGroupSpecs\[[^]]*\])\.template\.spec\.(tolerations|schedulingGates)"
    r"|upgradeStrategy)\b"
)


def lacking(service: Object, cluster: Object) -> list[Difference]:
    """Returns the RayService's fields that the cluster has otherwise, except those that the autoscaler decides."""
    found = differences(cluster["spec"], service["spec"]["rayClusterConfig"])
    return [difference for difference in found if not _REPLICAS.match(difference.field)]


def cluster_changes(service: Object, cluster: Object) -> list[str]:
    """Returns lines that say what happens to the running cluster; none where it is as the RayService says."""
    found = lacking(service, cluster)
    if not found:
        return []
    name = cluster["metadata"]["name"]
    compared = [difference for difference in found if not _NOT_COMPARED.match(difference.field)]
    fields = [f"  {difference}" for difference in found]
    strategy = (service["spec"].get("upgradeStrategy") or {}).get("type")
    if compared and strategy != "None":
        return [f"RayCluster {name} differs in these fields; a new cluster takes its place:", *fields]
    why = f"upgradeStrategy.type is {strategy!r}" if compared else "the operator passes none of these fields on"
    return [
        f"RayCluster {name} keeps its old specification ({why}); it differs in:",
        *fields,
        f"  to replace it, with an interruption: kubectl delete raycluster {name}",
    ]
