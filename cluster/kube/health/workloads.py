"""Deployments, stateful sets, jobs, volumes and the policies about their pods."""

from __future__ import annotations

from cluster.kube.health import pods
from cluster.kube.health.verdict import (
    Health,
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
from cluster.kube.manifest import Object


def deployment(obj: Object, related: Related) -> Health:
    """Ready when every replica is of the newest template and available."""
    status, found = obj.get("status") or {}, conditions(obj.get("status") or {})
    if not status.get("observedGeneration"):
        return without_status(obj, related, "the controller manager")
    if why := stale_status(obj):
        return progressing(why)
    wanted = _replicas(obj)
    why = pods.reasons(related.pods, related)
    progress = found.get("Progressing")
    if progress is not None and progress.get("reason") == "ProgressDeadlineExceeded":
        return failed(why or condition_message(progress))
    if is_true(found.get("ReplicaFailure")):
        return failed(f"pods cannot be made: {condition_message(found['ReplicaFailure'])}")
    updated, there = status.get("updatedReplicas") or 0, status.get("availableReplicas") or 0
    if obj["spec"].get("paused") and updated < wanted:
        return progressing("its rollout is paused")
    if updated < wanted:
        return _short(related, f"{updated} of {wanted} replicas updated", why)
    if (status.get("replicas") or 0) > updated:
        return _short(related, f"{status['replicas'] - updated} old replicas leave", why)
    if there < wanted:
        return _short(related, f"{there} of {wanted} replicas available", why)
    return ready(f"{there} of {wanted}")


def stateful_set(obj: Object, related: Related) -> Health:
    """Ready when every replica is of the newest template and ready."""
    status = obj.get("status") or {}
    if not status.get("observedGeneration"):
        return without_status(obj, related, "the controller manager")
    if why := stale_status(obj):
        return progressing(why)
    wanted, there, updated = _replicas(obj), status.get("readyReplicas") or 0, status.get("updatedReplicas") or 0
    why = pods.reasons(related.pods, related)
    if there < wanted:
        return _short(related, f"{there} of {wanted} replicas ready", why)
    rolling = (obj["spec"].get("updateStrategy") or {}).get("type") != "OnDelete"
    if rolling and status.get("currentRevision") != status.get("updateRevision") and updated < wanted:
        return _short(related, f"{updated} of {wanted} replicas updated", why)
    return ready(f"{there} of {wanted}")


def job(obj: Object, related: Related) -> Health:
    """Ready when it is complete."""
    status, found = obj.get("status") or {}, conditions(obj.get("status") or {})
    if is_true(found.get("Failed")):
        return failed(condition_message(found["Failed"]), final=True)
    if is_true(found.get("Complete")):
        return ready("complete")
    if is_true(found.get("Suspended")):
        return progressing("suspended")
    why = pods.reasons(related.pods, related)
    return _short(related, f"{status.get('active') or 0} active, {status.get('failed') or 0} failed", why)


def volume_claim(obj: Object, related: Related) -> Health:
    """Ready when it is bound."""
    status = obj.get("status") or {}
    if status.get("phase") == "Bound":
        return ready((status.get("capacity") or {}).get("storage", ""))
    if status.get("phase") == "Lost":
        return failed("its volume is gone")
    why = f": {one_line(related.events[0].text)}" if related.events else ""
    storage_class = obj["spec"].get("storageClassName")
    return progressing(f"not bound, storage class {storage_class or '(the default)'}{why}")


def autoscaler(obj: Object, related: Related) -> Health:
    """Ready when it can see its metrics and scale, or has nothing to decide; at its most replicas it says so."""
    status, found = obj.get("status") or {}, conditions(obj.get("status") or {})
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
        return without_status(obj, related, "the controller manager")
    there = status.get("currentReplicas") or 0
    limited = found.get("ScalingLimited")
    if is_true(limited) and limited is not None and limited.get("reason") == "TooManyReplicas":
        return ready(f"at its most, {most} replicas; the load asks for more")
    return ready(f"{there} of {least} to {most}")


def disruption_budget(obj: Object, related: Related) -> Health:
    """Ready when as many pods are healthy as it asks for."""
    status = obj.get("status") or {}
    if not status.get("observedGeneration"):
        return without_status(obj, related, "the controller manager")
    healthy, wanted = status.get("currentHealthy") or 0, status.get("desiredHealthy") or 0
    if healthy < wanted:
        return progressing(f"{healthy} of {wanted} pods healthy")
    allowed = status.get("disruptionsAllowed") or 0
    return ready(f"{allowed} may go" if allowed else "none may go; a node that holds one cannot be drained")


def _replicas(obj: Object) -> int:
    wanted = obj["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def _short(related: Related, what: str, why: str) -> Health:
    told = f"{what}: {why}" if why else what
    return failed(told) if pods.stuck(related.pods, related) else progressing(told)
