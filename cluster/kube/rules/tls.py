"""Mutual TLS made by the operator: what it sets and mounts, nobody else may."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.kube.rules.cluster_spec import ClusterSpec
from cluster.kube.rules.finding import SET, Finding
from cluster.kube.rules.reading import at, mapping, objects, variables

_VARIABLES = ("RAY_USE_TLS", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
_TAKEN = {"name": "ray-tls", "mountPath": "/etc/ray/tls"}


def tls_findings(cluster: ClusterSpec) -> Iterator[Finding]:
    options = cluster.spec.get("tlsOptions")
    if not isinstance(options, dict):
        return
    if not cluster.gates.mtls:
        yield Finding("tlsOptions", SET, "nothing, unless the operator has its feature gate RayClusterMTLS on")
    if at(options, "enabled") is not True:
        return
    places = [(group.container_path, group.container) for group in (cluster.head, *cluster.workers)]
    places.append(("autoscalerOptions", mapping(cluster.spec.get("autoscalerOptions"))))
    for place, container in places:
        env = variables(container.get("env"))
        for name in _VARIABLES:
            if name in env:
                yield Finding(f"{place}.env[{name}]", SET, "nothing: the operator sets it with tlsOptions")
        for index, mount in enumerate(objects(container.get("volumeMounts"))):
            for field, taken in _TAKEN.items():
                if mount.get(field) == taken:
                    yield Finding(
                        f"{place}.volumeMounts[{index}].{field}",
                        taken,
                        "another: this one is the operator's with tlsOptions",
                    )
