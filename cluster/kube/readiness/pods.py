"""Pods: ready, or the sentence that says why not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cluster.kube.manifest import Object
from cluster.kube.readiness.conditions import (
    QUOTED,
    Readiness,
    Related,
    conditions,
    failed,
    is_true,
    one_line,
    progressing,
    ready,
    without_preemption,
)

_STARTING = ("ContainerCreating", "PodInitializing")
"""Reasons of a waiting container that are no error."""
_PROXY = "/-/healthz"
"""Path that a readiness probe asks of a Serve proxy. It is asked of every worker of a RayService."""
_STEADY_S = 600.0
"""Seconds since its restart after which a container is in no crash loop: the kubelet forgets its back-off."""


def pod(obj: Object, related: Related) -> Readiness:
    """Ready, or what keeps it: no node, no image, a crash loop with its last exit, a probe."""
    status = obj.get("status") or {}
    phase, containers = status.get("phase"), _containers(status)
    if phase == "Succeeded":
        return ready("done")
    if phase == "Failed":
        ends = [end for each in containers if (end := _exit(each.get("state"))) and not end.startswith("exit 0")]
        return failed(one_line(status.get("message") or status.get("reason") or "; ".join(ends) or "failed"))
    found = conditions(status)
    scheduled = found.get("PodScheduled")
    if scheduled is not None and not is_true(scheduled):
        why = one_line(without_preemption(scheduled.get("message") or ""))
        return progressing(f"{scheduled.get('reason', 'not scheduled')}: {why}")
    for each in containers:
        waiting = (each.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason")
        if reason == "CrashLoopBackOff":
            return failed(f"{each['name']}: crash loop, {_restarts(each)}")
        if reason and reason not in _STARTING:
            return failed(f"{each['name']}: {reason}: {one_line(waiting.get('message') or each.get('image') or '')}")
    past = "; ".join(f"{each['name']}: {_restarts(each)}" for each in containers if each.get("restartCount"))
    if is_true(found.get("Ready")):
        return ready(past)
    if without_proxy(obj, related.now):
        return ready("; ".join(each for each in ("runs without a Serve proxy", past) if each))
    closed = [each for each in containers if not each.get("ready")]
    if phase == "Running":
        why = f"{', '.join(each['name'] for each in closed) or 'a readiness gate'} not ready"
        causes = ["Unhealthy"]
    else:
        reasons = {((each.get("state") or {}).get("waiting") or {}).get("reason") for each in closed} - {None}
        why = ", ".join(sorted(map(str, reasons))) or phase or "no status yet"
        causes = ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"]
    own = (each for each in related.events if each.name == obj["metadata"]["name"] and each.reason in causes)
    event = next(own, None)
    why += f": {one_line(event.text, QUOTED)}" if event else ""
    return progressing(f"{why}; {past}" if past and phase == "Running" else why)


def without_proxy(pod: Object, now: datetime | None) -> bool:
    """True where a Ray worker runs and lacks only the Serve proxy that its readiness probe asks.

    A node without a replica has no proxy, so that a pod that trains is never Ready, by design.
    """
    status = pod.get("status") or {}
    probes = {each["name"]: each.get("readinessProbe") for each in (pod.get("spec") or {}).get("containers") or []}
    closed = [each for each in _containers(status) if not each.get("ready")]
    return (
        (pod["metadata"].get("labels") or {}).get("ray.io/node-type") == "worker"
        and status.get("phase") == "Running"
        and bool(closed)
        and all(_PROXY in str(probes.get(each["name"])) and _steady(each, now) for each in closed)
    )


def runs(pod: Object, now: datetime | None) -> bool:
    """True where a pod of a Ray cluster stays and is Ready, or would be if it had a Serve proxy."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return is_true(conditions(pod.get("status")).get("Ready")) or without_proxy(pod, now)


def reasons(pods: Iterable[Object], related: Related, limit: int = 2) -> str:
    """Sentences of the pods that are not ready, equal ones taken together, failures first; empty where all are."""
    found: dict[tuple[bool, str], list[str]] = {}
    for each in _staying(pods):
        verdict = pod(each, related)
        if verdict.state != "ready":
            found.setdefault((verdict.state != "failed", verdict.why), []).append(each["metadata"]["name"])
    sentences = []
    for (_, why), names in sorted(found.items())[:limit]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        sentences.append(f"{names[0]}{more}: {why}")
    if len(found) > limit:
        sentences.append(f"{len(found) - limit} more reasons")
    return "; ".join(sentences)


def stuck(pods: Iterable[Object], related: Related) -> bool:
    """True where one of the pods that stay has failed."""
    return any(pod(each, related).state == "failed" for each in _staying(pods))


def _staying(pods: Iterable[Object]) -> list[Object]:
    return [each for each in pods if not each["metadata"].get("deletionTimestamp")]


def _containers(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _steady(container: dict[str, Any], now: datetime | None) -> bool:
    running = (container.get("state") or {}).get("running")
    if running is None or not container.get("restartCount"):
        return running is not None
    started = running.get("startedAt")
    if now is None or not started:
        return False
    return (now - datetime.fromisoformat(started)).total_seconds() >= _STEADY_S


def _restarts(container: dict[str, Any]) -> str:
    count, end = container.get("restartCount") or 0, _exit(container.get("lastState"))
    return f"{count} restart{'s' if count != 1 else ''}" + (f", last {end}" if end else "")


def _exit(state: dict[str, Any] | None) -> str:
    """The exit of a container that has ended with an error."""
    ended = (state or {}).get("terminated")
    if not ended:
        return ""
    reason, message = ended.get("reason"), one_line(ended.get("message") or "", 120)
    text = f"exit {ended.get('exitCode')}" + (f" ({reason})" if reason and reason != "Error" else "")
    return f"{text}: {message}" if message else text
