"""What ``status`` tells of Ray: the groups of a cluster and the applications of a service."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import yaml

from cluster.kube.health import pods
from cluster.kube.health.verdict import one_line
from cluster.kube.manifest import Object
from cluster.kube.snapshot import Snapshot

_AUTOSCALER = "python-requests"  # the in-tree autoscaler writes by that client and names no manager


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The pods of a Ray group: how many the spec says (``wanted``), how many are ready, and who set the number.

    A worker that runs and lacks only a Serve proxy counts as ready, as it is for training; ``note`` says how many.
    """

    cluster: str
    name: str
    least: int
    wanted: int
    ready: int
    most: int | None
    asked_by: str
    note: str


@dataclass(frozen=True, slots=True)
class ApplicationRow:
    """A Serve application and its deployments, each with its state and the replicas that its config asks for."""

    cluster: str
    name: str
    state: str
    deployments: tuple[str, ...]
    message: str


def groups(snapshot: Snapshot, cluster: Object) -> list[GroupRow]:
    """The head and every worker group."""
    name, spec = cluster["metadata"]["name"], cluster["spec"]
    running = [pod for pod in snapshot.pods(cluster) if pods.runs(pod, snapshot.now)]
    ready = Counter(map(_group_of, running))
    without_proxy = Counter(_group_of(pod) for pod in running if pods.without_proxy(pod, snapshot.now))
    scaling = bool(spec.get("enableInTreeAutoscaling"))
    suspended = bool(spec.get("suspend"))
    head = int(not suspended)
    rows = [GroupRow(name, "head", head, head, ready["headgroup"], 1, "", "suspended" if suspended else "")]
    asked_by = _asked_by(cluster)
    for group in spec.get("workerGroupSpecs") or []:
        hosts = group.get("numOfHosts") or 1
        stopped = suspended or bool(group.get("suspend"))
        leaving = (group.get("scaleStrategy") or {}).get("workersToDelete") or []
        notes = [
            "suspended" if stopped else "",
            "" if scaling or stopped else "fixed: no autoscaler",
            f"{hosts} hosts a replica" if hosts > 1 else "",
            f"{len(leaving)} named to leave" if leaving else "",
            f"{without_proxy[group['groupName']]} without a Serve proxy" if without_proxy[group["groupName"]] else "",
        ]
        most = group.get("maxReplicas")
        rows.append(
            GroupRow(
                cluster=name,
                name=group["groupName"],
                least=group.get("minReplicas") or 0,
                wanted=0 if stopped else (group.get("replicas") or 0) * hosts,
                ready=ready[group["groupName"]],
                most=None if most in (None, 2**31 - 1) else most,
                asked_by=asked_by,
                note=", ".join(each for each in notes if each),
            )
        )
    return rows


def _group_of(pod: Object) -> str | None:
    return (pod["metadata"].get("labels") or {}).get("ray.io/group")


def _asked_by(cluster: Object) -> str:
    """Who wrote ``workerGroupSpecs`` last: the list is atomic, and of several owners the latest set the numbers."""
    owners = [
        entry
        for entry in cluster["metadata"].get("managedFields") or []
        if "f:workerGroupSpecs" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    if not owners:
        return ""
    manager = max(owners, key=lambda entry: entry.get("time") or "")["manager"]
    return "autoscaler" if manager == _AUTOSCALER else f"spec ({manager})"


def applications(obj: Object | None) -> list[ApplicationRow]:
    """Those of a RayService, on its active cluster and on the one that is to follow; none of anything else."""
    if obj is None or obj["kind"] != "RayService":
        return []
    status, rows = obj.get("status") or {}, []
    asked = _asked_replicas(obj["spec"].get("serveConfigV2") or "")
    for part in ("activeServiceStatus", "pendingServiceStatus"):
        service = status.get(part) or {}
        for name, application in sorted((service.get("applicationStatuses") or {}).items()):
            deployments = []
            for deployment, each in sorted((application.get("serveDeploymentStatuses") or {}).items()):
                replicas = asked.get((name, deployment), "")
                told = f"{deployment} {each.get('status', '')}" + (f" ({replicas})" if replicas else "")
                message = one_line(each.get("message") or "", 120)
                deployments.append(told + (f": {message}" if message and each.get("status") != "HEALTHY" else ""))
            rows.append(
                ApplicationRow(
                    cluster=service.get("rayClusterName") or "",
                    name=name,
                    state=application.get("status") or "",
                    deployments=tuple(deployments),
                    message=one_line(application.get("message") or ""),
                )
            )
    return rows


def _asked_replicas(text: str) -> dict[tuple[str, str], str]:
    """By application and deployment; empty where the config is not to be read: the operator says so itself."""
    try:
        config = yaml.safe_load(text) or {}
        found: dict[tuple[str, str], str] = {}
        for application in config.get("applications") or []:
            for deployment in application.get("deployments") or []:
                scaling: dict[str, Any] = deployment.get("autoscaling_config") or {}
                key = (str(application["name"]), str(deployment["name"]))
                if scaling:
                    found[key] = f"{scaling.get('min_replicas', 1)} to {scaling.get('max_replicas', 1)} asked for"
                elif "num_replicas" in deployment:
                    found[key] = f"{deployment['num_replicas']} asked for"
        return found
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        return {}
