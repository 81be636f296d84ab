"""The rule of each kind: Ray's own and pods from their modules, the others by their conditions and counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.kube.manifest import Object
from cluster.kube.readiness import pods, ray
from cluster.kube.readiness.conditions import (
    Readiness,
    Related,
    condition_message,
    conditions,
    failed,
    is_true,
    one_line,
    progressing,
    ready,
    stale_status,
    without_status,
)

Rule = Callable[[Object, Related], Readiness]

MANAGER = "the controller manager"
GATEWAY_CONTROLLER = "a controller of its class"
_ON_ITS_WAY = ("", "Pending", "AddressNotAssigned", "Evicted")
"""Reasons of a condition that is not true yet; any other one is an error."""


def readiness(obj: Object, related: Related | None = None) -> Readiness:
    """The readiness of ``obj``. An object of a kind without a rule is ready by being there."""
    group = obj["apiVersion"].rpartition("/")[0]
    if obj["metadata"].get("deletionTimestamp"):
        held = ", ".join(obj["metadata"].get("finalizers") or [])
        return progressing("is being deleted" + (f"; waits for {held}" if held else ""))
    rule = _RULES.get((group, obj["kind"]))
    return rule(obj, related or Related()) if rule else ready()


def _replicated(obj: Object, related: Related) -> Readiness:
    """A Deployment or StatefulSet: ready when every replica is of the newest template and available."""
    status, found = obj.get("status") or {}, conditions(obj.get("status"))
    if not status.get("observedGeneration"):
        return without_status(obj, related, MANAGER)
    if stale := stale_status(obj):
        return progressing(stale)
    why = pods.reasons(related.pods, related)
    progress = found.get("Progressing") or {}
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return failed(why or condition_message(progress))
    if is_true(found.get("ReplicaFailure")):
        return failed(f"pods cannot be made: {condition_message(found['ReplicaFailure'])}")
    given = obj["spec"].get("replicas")
    wanted, updated = 1 if given is None else int(given), status.get("updatedReplicas") or 0
    old = (status.get("replicas") or 0) - updated
    word, there = "available", status.get("availableReplicas") or 0
    if obj["kind"] == "StatefulSet":
        on_delete = (obj["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
        if on_delete or status.get("currentRevision") == status.get("updateRevision"):
            updated = wanted
        word, there, old = "ready", status.get("readyReplicas") or 0, 0
    if there >= wanted and updated >= wanted and old <= 0:
        return ready(f"{there} of {wanted}")
    text = f"{there} of {wanted} replicas {word}"
    if there >= wanted or obj["kind"] == "Deployment":  # the first of these that is not so holds up the others
        text = f"{old} old replicas leave" if old > 0 and updated >= wanted else text
        text = f"{updated} of {wanted} replicas updated" if updated < wanted else text
    text = f"{text}: {why}" if why else text
    return failed(text) if pods.stuck(related.pods, related) else progressing(text)


def _volume_claim(obj: Object, related: Related) -> Readiness:
    status = obj.get("status") or {}
    if status.get("phase") == "Bound":
        return ready((status.get("capacity") or {}).get("storage", ""))
    if status.get("phase") == "Lost":
        return failed("its volume is gone")
    why = f": {one_line(related.events[0].text)}" if related.events else ""
    return progressing(f"not bound, storage class {obj['spec'].get('storageClassName') or '(the default)'}{why}")


def _autoscaler(obj: Object, related: Related) -> Readiness:
    """A HorizontalPodAutoscaler: ready when it can see its metrics and scale, or has nothing to decide."""
    status, found = obj.get("status") or {}, conditions(obj.get("status"))
    least, most = obj["spec"].get("minReplicas", 1), obj["spec"].get("maxReplicas")
    held = least == most
    for name in ("AbleToScale",) if held else ("AbleToScale", "ScalingActive"):
        condition = found.get(name)
        # Scaled to zero by hand, a target is left alone: ScalingDisabled is no fault.
        if condition is not None and not is_true(condition) and condition.get("reason") != "ScalingDisabled":
            return failed(f"{condition.get('reason')}: {condition_message(condition)}")
    if held:
        return ready(f"held at {most} replica{'' if most == 1 else 's'}, whatever its metrics say")
    if not found:
        return without_status(obj, related, MANAGER)
    if is_true(found.get("ScalingLimited")) and found["ScalingLimited"].get("reason") == "TooManyReplicas":
        return ready(f"at its maximum of {most} replicas; the load asks for more")
    return ready(f"{status.get('currentReplicas') or 0} of {least} to {most}")


def _disruption_budget(obj: Object, related: Related) -> Readiness:
    status = obj.get("status") or {}
    if not status.get("observedGeneration"):
        return without_status(obj, related, MANAGER)
    healthy, wanted = status.get("currentHealthy") or 0, status.get("desiredHealthy") or 0
    if healthy < wanted:
        return progressing(f"{healthy} of {wanted} pods healthy")
    allowed = status.get("disruptionsAllowed") or 0
    return ready(f"{allowed} may go" if allowed else "none may go; a node that holds one cannot be drained")


def _by_conditions(controller: str, *types: str) -> Rule:
    """A rule: ready when these conditions are true; an address, or the last one's message, is the reason."""

    def rule(obj: Object, related: Related) -> Readiness:
        status, found = obj.get("status") or {}, conditions(obj.get("status"))
        if all(each.get("status") == "Unknown" for each in found.values()) and not status.keys() - {"conditions"}:
            return without_status({**obj, "status": {}}, related, controller)
        for name in ("Finished", "Failed"):
            if is_true(found.get(name)):
                text = condition_message(found[name])
                return ready(text) if name == "Finished" else failed(text, final=True)
        addresses = ", ".join(each.get("value", "") for each in status.get("addresses") or [])
        return _unmet(status, *types) or ready(addresses or condition_message(found[types[-1]]))

    return rule


def _route(obj: Object, related: Related) -> Readiness:
    """An HTTPRoute or GRPCRoute: ready when every parent has accepted it and found all that it refers to."""
    parents = (obj.get("status") or {}).get("parents") or []
    if not parents:
        return without_status(obj, related, GATEWAY_CONTROLLER)
    names = [str((parent.get("parentRef") or {}).get("name")) for parent in parents]
    for parent, name in zip(parents, names, strict=True):
        if bad := _unmet(parent, "Accepted", *({"ResolvedRefs"} & conditions(parent).keys())):
            return Readiness(bad.state, f"gateway {name}: {bad.why}")
    return ready(f"by {', '.join(names)}")


def _service(obj: Object, related: Related) -> Readiness:
    """A Service: ready by being there; one of type LoadBalancer when it has an address."""
    if (obj.get("spec") or {}).get("type") != "LoadBalancer":
        return ready()
    given = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    addresses = ", ".join(each.get("hostname") or each.get("ip") or "" for each in given)
    return ready(addresses) if given else progressing("waits for its load balancer's address")


def _unmet(status: dict[str, Any], *types: str) -> Readiness | None:
    """The first condition of these that is not true, or ``None``."""
    found = conditions(status)
    for name in types:
        if not is_true(condition := found.get(name)):
            reason = (condition or {}).get("reason") or ""
            why = f"{name} is not true" + (f": {reason}: {condition_message(condition)}" if condition else " yet")
            return progressing(why) if reason in _ON_ITS_WAY else failed(why)
    return None


_RULES: dict[tuple[str, str], Rule] = {
    ("ray.io", "RayService"): ray.ray_service,
    ("ray.io", "RayCluster"): ray.ray_cluster,
    ("ray.io", "RayJob"): ray.ray_job,
    ("", "Pod"): pods.pod,
    ("", "PersistentVolumeClaim"): _volume_claim,
    ("", "Service"): _service,
    ("apps", "Deployment"): _replicated,
    ("apps", "StatefulSet"): _replicated,
    ("batch", "Job"): _by_conditions(MANAGER, "Complete"),
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("policy", "PodDisruptionBudget"): _disruption_budget,
    ("kueue.x-k8s.io", "LocalQueue"): _by_conditions("Kueue", "Active"),
    ("kueue.x-k8s.io", "ClusterQueue"): _by_conditions("Kueue", "Active"),
    ("kueue.x-k8s.io", "Workload"): _by_conditions("Kueue", "QuotaReserved", "Admitted"),
    ("gateway.networking.k8s.io", "Gateway"): _by_conditions(GATEWAY_CONTROLLER, "Accepted", "Programmed"),
    ("gateway.networking.k8s.io", "HTTPRoute"): _route,
    ("gateway.networking.k8s.io", "GRPCRoute"): _route,
}
