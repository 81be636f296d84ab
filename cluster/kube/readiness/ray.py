"""KubeRay's kinds.

``Ready`` of a RayService stays true while its new application cannot be deployed, ``state`` of a RayCluster stays
``ready`` while it is suspended, and a RayCluster that the operator refuses has no status at all: each is judged by
what does change (applicationStatuses, conditions with observedGeneration, Warning events).
"""

from __future__ import annotations

from typing import Any

from cluster.kube.manifest import Object
from cluster.kube.readiness import pods
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
from cluster.kube.readiness.warning_events import newest

OPERATOR = "the KubeRay operator"


def ray_service(obj: Object, related: Related) -> Readiness:
    """Ready when every application runs, endpoints answer, and no upgrade is under way."""
    status = obj.get("status") or {}
    found = conditions(status)
    state = found.get("Ready")
    if state is None:
        refused = _refused(obj, related)
        return refused or without_status(obj, related, OPERATOR)
    if state.get("reason") == "ValidationFailed":
        return failed(f"refused: {condition_message(state)}", final=True)
    if why := stale_status(obj):
        return progressing(why)
    if is_true(found.get("Suspended")) or is_true(found.get("Suspending")):
        return progressing("suspended" if is_true(found.get("Suspended")) else "is being suspended")
    active, pending = status.get("activeServiceStatus") or {}, status.get("pendingServiceStatus") or {}
    if broken := _broken(active):
        return failed(broken)
    if broken := _broken(pending):
        return failed(f"new cluster {pending.get('rayClusterName')}: {broken}" + _answers(active))
    if state.get("reason") == "InitializingTimeout":
        return failed(condition_message(state), final=True)
    if is_true(found.get("RollbackInProgress")):
        return progressing(f"rolls back: {condition_message(found['RollbackInProgress'])}")
    if pending.get("rayClusterName"):
        return progressing(
            f"cluster {pending['rayClusterName']} starts: {_start(pending, related)}" + _answers(active)
        )
    if not is_true(state):
        return progressing(f"{state.get('reason')}: {condition_message(state)}")
    applications = active.get("applicationStatuses") or {}
    waiting = {name: each.get("status") for name, each in applications.items() if each.get("status") != "RUNNING"}
    if waiting:
        return progressing(", ".join(f"application {name}: {each}" for name, each in sorted(waiting.items())))
    if not applications and obj["spec"].get("serveConfigV2"):
        return progressing("no application has reported its state")
    endpoints = status.get("numServeEndpoints") or 0
    where = f" on {active['rayClusterName']}" if active.get("rayClusterName") else ""
    return ready(f"{_count(len(applications), 'application')}, {_count(endpoints, 'endpoint')}{where}")


def ray_cluster(obj: Object, related: Related) -> Readiness:
    """Ready when the head is and every wanted worker runs.

    A worker without a Serve proxy is never Ready. Whether those that serve do is told by the RayService.
    """
    status = obj.get("status") or {}
    found = conditions(status)
    if refused := _refused(obj, related):
        return refused
    if not found:
        return without_status(obj, related, OPERATOR)
    if why := stale_status(obj):
        return progressing(why)
    if is_true(found.get("RayClusterSuspended")):
        return progressing("suspended")
    if is_true(found.get("RayClusterSuspending")):
        return progressing("is being suspended")
    if is_true(found.get("ReplicaFailure")):
        return failed(f"pods cannot be made: {condition_message(found['ReplicaFailure'])}")
    heads = [each for each in related.pods if _label(each, "ray.io/node-type") == "head"]
    workers = [each for each in related.pods if each not in heads]
    head = found.get("HeadPodReady")
    if head is not None and not is_true(head):
        why = pods.reasons(heads, related) or f"{head.get('reason')}: {condition_message(head)}"
        if refused_pod := newest(related.events, "FailedToCreateHeadPod"):
            return failed(one_line(refused_pod.text))
        if is_true(found.get("RayClusterProvisioned")):
            return failed(f"the head is gone: {why}")
        return _worst(related, f"the head starts: {why}")
    if heads and all(each["metadata"].get("deletionTimestamp") for each in heads):
        return progressing("the head is being deleted")  # its HeadPodReady stays true until it is gone
    wanted, there = status.get("desiredWorkerReplicas") or 0, status.get("availableWorkerReplicas") or 0
    if related.pods:
        there = sum(pods.runs(each, related.now) for each in workers)
    if there < wanted:
        why = pods.reasons(workers, related)
        if refused_pod := newest(related.events, "FailedToCreateWorkerPod"):
            why = why or one_line(refused_pod.text)
        return _worst(related, f"{there} of {_count(wanted, 'worker')} ready" + (f": {why}" if why else ""))
    idle = sum(pods.runs(each, related.now) and pods.without_proxy(each, related.now) for each in workers)
    # It becomes true when all pods have been Ready at once, which never happens with such a worker.
    if not is_true(found.get("RayClusterProvisioned")) and not idle:
        return progressing(condition_message(found.get("RayClusterProvisioned"), "pods start"))
    proxies = f"; {idle} without a Serve proxy" if idle else ""
    return ready(f"head and {_count(there, 'worker')}{proxies}")


def ray_job(obj: Object, related: Related) -> Readiness:
    """Ready when it is complete. It is done by ``jobDeploymentStatus``, never by ``jobStatus``."""
    status = obj.get("status") or {}
    state, job = status.get("jobDeploymentStatus"), status.get("jobStatus")
    message = one_line(status.get("message") or "")
    if state == "ValidationFailed":
        return failed(f"refused: {message}", final=True)
    if state == "Failed":
        return failed(": ".join(each for each in (status.get("reason"), message) if each) or "failed", final=True)
    if state == "Complete":
        return ready(message or "complete")
    if not state:
        return _refused(obj, related) or without_status(obj, related, OPERATOR)
    if state == "Running":
        if text := ": ".join(each for each in (job, message) if each):
            return progressing(text)
        why = pods.reasons(related.pods, related)
        return progressing("submitted; the job has no state yet" + (f": {why}" if why else ""))
    if state == "Suspended":
        return progressing("suspended: a queue has not admitted it, or it was suspended by hand")
    if state == "Waiting":
        return progressing("waits for a job to be submitted by hand (InteractiveMode)")
    if lost := newest(related.events, "RayClusterNotFound"):
        return progressing(one_line(lost.text))
    why = message or pods.reasons(related.pods, related)
    return progressing(f"{state}" + (f": {why}" if why else ""))


def _refused(obj: Object, related: Related) -> Readiness | None:
    """The operator's refusal, which no status has: an event that is newer than the status."""
    status = obj.get("status") or {}
    event = newest(related.events, f"Invalid{obj['kind']}")
    if event is None or (conditions(status) and stale_status(obj) is None):
        return None
    return failed(f"refused: {one_line(event.text)}", final=True)


def _worst(related: Related, why: str) -> Readiness:
    return failed(why) if pods.stuck(related.pods, related) else progressing(why)


def _broken(service: dict[str, Any]) -> str | None:
    for name, application in sorted((service.get("applicationStatuses") or {}).items()):
        if application.get("status") in ("DEPLOY_FAILED", "UNHEALTHY"):
            details = [application.get("message") or ""]
            for deployment, each in sorted((application.get("serveDeploymentStatuses") or {}).items()):
                if each.get("message") and each.get("status") != "HEALTHY":
                    details.append(f"{deployment}: {each['message']}")
            text = "; ".join(one_line(each) for each in details if each)
            return f"application {name}: {application['status']}" + (f": {text}" if text else "")
    return None


def _start(pending: dict[str, Any], related: Related) -> str:
    applications = pending.get("applicationStatuses") or {}
    if applications:
        return ", ".join(f"{name} {each.get('status')}" for name, each in sorted(applications.items()))
    found = conditions(pending.get("rayClusterStatus") or {})
    own = [each for each in related.pods if _label(each, "ray.io/cluster") == pending.get("rayClusterName")]
    if why := pods.reasons(own, related, limit=1):
        return why
    head = found.get("HeadPodReady")
    return (
        "its applications are being deployed" if is_true(head) else f"head {condition_message(head, 'not made yet')}"
    )


def _label(pod: Object, name: str) -> str | None:
    return (pod["metadata"].get("labels") or {}).get(name)


def _answers(active: dict[str, Any]) -> str:
    name = active.get("rayClusterName")
    return f"; {name} still answers" if name else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
