"""The feature gates of the KubeRay operator, as 1.7 has them when nobody sets any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

_NAMES = {
    "RayClusterStatusConditions": "status_conditions",
    "RayJobDeletionPolicy": "deletion_policy",
    "RayMultiHostIndexing": "multi_host_indexing",
    "RayServiceIncrementalUpgrade": "incremental_upgrade",
    "RayCronJob": "cron_job",
    "SidecarSubmitterRestart": "sidecar_restart",
    "RayClusterNetworkPolicy": "network_policy",
    "GCSFaultToleranceEmbeddedStorage": "embedded_storage",
    "RayClusterMTLS": "mtls",
    "RayClusterHistoryServer": "history_server",
    "KubernetesWAS": "workload_scheduling",
}
_BETA = ("status_conditions", "deletion_policy", "multi_host_indexing", "incremental_upgrade")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")


@dataclass(frozen=True, slots=True)
class Gates:
    """On or off; ``_NAMES`` has the operator's own names."""

    status_conditions: bool = True
    deletion_policy: bool = True
    multi_host_indexing: bool = True
    incremental_upgrade: bool = True
    cron_job: bool = False
    sidecar_restart: bool = False
    network_policy: bool = False
    embedded_storage: bool = False
    mtls: bool = False
    history_server: bool = False
    workload_scheduling: bool = False


DEFAULT_GATES = Gates()


def read_gates(arguments: Iterable[str]) -> tuple[Gates, tuple[str, ...]]:
    """The gates that an operator with these arguments has, and the names that 1.7 does not know.

    ``--feature-gates=A=true,B=false`` and the value as an argument of its own both count, the last flag wins, and
    ``AllAlpha`` and ``AllBeta`` stand for the gates that are not named (k8s.io/component-base/featuregate).
    """
    flag = ""
    words = list(arguments)
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.lstrip("-") == "feature-gates" and name.startswith("-"):
            flag = value if equals else "".join(words[index + 1 : index + 2])
    pairs = [entry.partition("=") for entry in flag.replace(" ", "").split(",") if entry]
    given = {name: value in _TRUE for name, _, value in pairs}
    values: dict[str, bool] = {}
    for gate in _NAMES.values():
        group = "AllBeta" if gate in _BETA else "AllAlpha"
        if group in given:
            values[gate] = given[group]
    values |= {_NAMES[name]: on for name, on in given.items() if name in _NAMES}
    unknown = tuple(sorted(set(given) - set(_NAMES) - {"AllAlpha", "AllBeta"}))
    return replace(DEFAULT_GATES, **values), unknown
