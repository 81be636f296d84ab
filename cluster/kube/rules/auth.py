"""Ray's token authentication, which needs a Ray that has it."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.kube.rules.cluster_spec import ClusterSpec
from cluster.kube.rules.finding import Finding
from cluster.kube.rules.reading import at
from cluster.kube.rules.versions import shortfall

_TOKEN_SINCE, _KUBERNETES_SINCE = "2.52.0", "2.55.0"


def wants_kubernetes_tokens(cluster: ClusterSpec) -> bool:
    return at(cluster.spec, "authOptions", "enableK8sTokenAuth") is True


def auth_findings(cluster: ClusterSpec) -> Iterator[Finding]:
    mode = at(cluster.spec, "authOptions", "mode")
    secret = at(cluster.spec, "authOptions", "secretName")
    by_kubernetes = wants_kubernetes_tokens(cluster)
    if mode != "token":
        if by_kubernetes:
            yield Finding("authOptions.enableK8sTokenAuth", True, "true only with authOptions.mode: token")
        return
    wanted = shortfall(cluster.ray_version, _KUBERNETES_SINCE if by_kubernetes else _TOKEN_SINCE)
    if wanted is not None:
        of = "authOptions.enableK8sTokenAuth" if by_kubernetes else "authOptions.mode: token"
        yield Finding("rayVersion", cluster.ray_version or None, f"{wanted}, as {of} needs it")
    if by_kubernetes and secret:
        yield Finding("authOptions.secretName", secret, "nothing with enableK8sTokenAuth")


def unsupported_findings(cluster: ClusterSpec, kind: str) -> Iterator[Finding]:
    """Kubernetes' own tokens are for a RayCluster alone: a job's submitter and Serve's deployer have none."""
    if wants_kubernetes_tokens(cluster):
        yield Finding("authOptions.enableK8sTokenAuth", True, f"false in a {kind}")
