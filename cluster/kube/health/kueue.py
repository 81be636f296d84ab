"""Kueue's queues and workloads."""

from __future__ import annotations

from cluster.kube.health.verdict import Health, Related, conditions, failed, holds, progressing, ready, said, unlooked
from cluster.kube.manifest import Object

CONTROLLER = "Kueue"


def queue(obj: Object, related: Related) -> Health:
    """Ready when it is active, with what waits in it."""
    status = obj.get("status") or {}
    active = conditions(status).get("Active")
    if active is None:
        return unlooked(obj, related, CONTROLLER)
    if not holds(active):
        return failed(f"{active.get('reason')}: {said(active)}")
    pending, admitted = status.get("pendingWorkloads") or 0, status.get("admittedWorkloads") or 0
    return ready(f"{admitted} admitted, {pending} waiting")


def workload(obj: Object, related: Related) -> Health:
    """Ready when it is admitted or has finished."""
    found = conditions(obj.get("status") or {})
    if not found:
        return unlooked(obj, related, CONTROLLER)
    if holds(found.get("Finished")):
        return ready(said(found["Finished"], "finished"))
    if holds(found.get("Admitted")):
        return ready("admitted")
    if holds(found.get("DeactivationTarget")):
        return failed(f"deactivated: {said(found['DeactivationTarget'])}")
    if holds(found.get("Evicted")):
        return progressing(f"evicted: {said(found['Evicted'])}")
    if holds(found.get("QuotaReserved")):
        return progressing("quota reserved; waits for its admission checks")
    return progressing(said(found.get("QuotaReserved"), "waits for quota"))
