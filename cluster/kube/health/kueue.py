"""Kueue's queues and workloads."""

from __future__ import annotations

from cluster.kube.health.verdict import (
    Health,
    Related,
    condition_message,
    conditions,
    failed,
    is_true,
    progressing,
    ready,
    without_status,
)
from cluster.kube.manifest import Object

CONTROLLER = "Kueue"


def queue(obj: Object, related: Related) -> Health:
    """Ready when it is active, with what waits in it."""
    status = obj.get("status") or {}
    active = conditions(status).get("Active")
    if active is None:
        return without_status(obj, related, CONTROLLER)
    if not is_true(active):
        return failed(f"{active.get('reason')}: {condition_message(active)}")
    pending, admitted = status.get("pendingWorkloads") or 0, status.get("admittedWorkloads") or 0
    return ready(f"{admitted} admitted, {pending} waiting")


def workload(obj: Object, related: Related) -> Health:
    """Ready when it is admitted or has finished."""
    found = conditions(obj.get("status") or {})
    if not found:
        return without_status(obj, related, CONTROLLER)
    if is_true(found.get("Finished")):
        return ready(condition_message(found["Finished"], "finished"))
    if is_true(found.get("Admitted")):
        return ready("admitted")
    if is_true(found.get("DeactivationTarget")):
        return failed(f"deactivated: {condition_message(found['DeactivationTarget'])}")
    if is_true(found.get("Evicted")):
        return progressing(f"evicted: {condition_message(found['Evicted'])}")
    if is_true(found.get("QuotaReserved")):
        return progressing("quota reserved; waits for its admission checks")
    return progressing(condition_message(found.get("QuotaReserved"), "waits for quota"))
