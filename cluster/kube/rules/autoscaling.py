"""The in-tree autoscaler: its version, what only version 2 can do, and restarts that would work against it."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.kube.rules.cluster_spec import AUTOSCALER_V2, ClusterSpec, Group
from cluster.kube.rules.finding import Finding
from cluster.kube.rules.reading import at, number, variables
from cluster.kube.rules.versions import shortfall

_START_COMMAND = "KUBERAY_GEN_AUTOSCALER_START_CMD"
_PRIORITY_SINCE = "2.56.0"
_NEEDS_V2 = "nothing, unless autoscalerOptions.version is v2"


def autoscaling_findings(cluster: ClusterSpec) -> Iterator[Finding]:
    for group in cluster.workers:
        yield from _idle_timeout(cluster, group)
        yield from _priority(cluster, group)
    yield from _version(cluster)
    if cluster.autoscaled and cluster.autoscaler_version == "v2":
        for group in (cluster.head, *cluster.workers):
            yield from restart_findings(group, "with autoscaler v2")
    yield from _options(cluster)


def restart_findings(group: Group, when: str) -> Iterator[Finding]:
    """A pod that restarts by itself hides its death from who would replace it."""
    if group.restart_policy not in ("", "Never"):
        yield Finding(f"{group.path}.template.spec.restartPolicy", group.restart_policy, f"Never or nothing {when}")


def _idle_timeout(cluster: ClusterSpec, group: Group) -> Iterator[Finding]:
    seconds = number(group.spec.get("idleTimeoutSeconds"))
    if seconds is None:
        return
    field = f"{group.path}.idleTimeoutSeconds"
    if seconds < 0:
        yield Finding(field, seconds, "0 or more seconds")
    if not cluster.has_v2:
        yield Finding(field, seconds, _NEEDS_V2)


def _priority(cluster: ClusterSpec, group: Group) -> Iterator[Finding]:
    priority = number(group.spec.get("priority"))
    if not priority:
        return
    wanted = shortfall(cluster.ray_version, _PRIORITY_SINCE)
    if wanted is not None:
        yield Finding("rayVersion", cluster.ray_version or None, f"{wanted}, as {group.path} has a priority")
    if not cluster.has_v2:
        yield Finding(f"{group.path}.priority", priority, _NEEDS_V2)


def _version(cluster: ClusterSpec) -> Iterator[Finding]:
    env = cluster.head.env
    if AUTOSCALER_V2 not in env:
        return
    field = f"{cluster.head.container_path}.env[{AUTOSCALER_V2}]"
    value = env[AUTOSCALER_V2].get("value")
    if not cluster.autoscaled and cluster.v2_by_env:
        yield Finding(field, value, "nothing, unless enableInTreeAutoscaling is true")
    if cluster.autoscaled and cluster.autoscaler_version:
        yield Finding(field, value, "nothing: autoscalerOptions.version says it already")


def _options(cluster: ClusterSpec) -> Iterator[Finding]:
    options = cluster.spec.get("autoscalerOptions")
    seconds = number(at(options, "idleTimeoutSeconds"))
    if seconds is not None and seconds < 0:
        yield Finding("autoscalerOptions.idleTimeoutSeconds", seconds, "0 or more seconds")
    if _START_COMMAND in variables(at(options, "env")):
        yield Finding(f"autoscalerOptions.env[{_START_COMMAND}]", "set", "nothing: the operator sets it itself")
