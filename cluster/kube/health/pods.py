"""Pods: why one is not ready, in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cluster.kube.health.events import Event
from cluster.kube.health.verdict import (
    QUOTED,
    Health,
    Related,
    conditions,
    failed,
    is_true,
    one_line,
    progressing,
    ready,
    without_preemption,
)
from cluster.kube.manifest import Object

_BROKEN = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}
_PREPARING = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
_PROXY = "/-/healthz"
"""What a readiness probe asks a Serve proxy. It asks every worker of a RayService, one that trains, too."""
_STEADY_S = 600.0
"""A container that has run so long since its last restart is in no crash loop: the kubelet forgets its back-off."""


def pod(obj: Object, related: Related) -> Health:
    """Ready, or what keeps it: no node, no image, a crash loop with its last exit, a probe."""
    status = obj.get("status") or {}
    phase = status.get("phase")
    if phase == "Succeeded":
        return ready("done")
    if phase == "Failed":
        ends = [ended for each in _containers(status) if (ended := _end(each, "state"))]
        return failed(one_line(status.get("message") or status.get("reason") or "; ".join(ends) or "failed"))
    found = conditions(status)
    scheduled = found.get("PodScheduled")
    if scheduled is not None and not is_true(scheduled):
        why = one_line(without_preemption(scheduled.get("message") or ""))
        return progressing(f"{scheduled.get('reason', 'not scheduled')}: {why}")
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, name = waiting.get("reason"), container["name"]
        if reason in _BROKEN:
            return failed(f"{name}: {reason}: {one_line(waiting.get('message') or container.get('image') or '')}")
        if reason == "CrashLoopBackOff":
            end = _end(container, "lastState") or "ended"
            return failed(f"{name}: crash loop, {_restarts(container)}, last {end}")
    if is_true(found.get("Ready")):
        return ready(_past(status))
    open_ = [each for each in _containers(status) if not each.get("ready")]
    past = _past(status)
    if without_proxy(obj, related.now):
        return ready("; ".join(each for each in ("runs without a Serve proxy", past) if each))
    if phase == "Running":
        names = ", ".join(each["name"] for each in open_) or "a readiness gate"
        probe = _latest(related.events, obj["metadata"]["name"], "Unhealthy")
        why = f"{names} not ready" + (f": {one_line(probe.text, QUOTED)}" if probe else "")
        return progressing(f"{why}; {past}" if past else why)
    reasons = {((each.get("state") or {}).get("waiting") or {}).get("reason") for each in open_} - {None}
    event = _latest(related.events, obj["metadata"]["name"], *_PREPARING)
    why = ", ".join(sorted(map(str, reasons))) or phase or "no status yet"
    return progressing(f"{why}: {one_line(event.text, QUOTED)}" if event else why)


def without_proxy(pod: Object, now: datetime | None) -> bool:
    """Whether a Ray worker runs and lacks nothing but the Serve proxy that its readiness probe asks.

    No node without a replica has a proxy, so that a pod that trains is never Ready, by design.
    """
    status = pod.get("status") or {}
    probes = {each["name"]: each.get("readinessProbe") for each in (pod.get("spec") or {}).get("containers") or []}
    open_ = [each for each in _containers(status) if not each.get("ready")]
    return (
        (pod["metadata"].get("labels") or {}).get("ray.io/node-type") == "worker"
        and status.get("phase") == "Running"
        and bool(open_)
        and all(_PROXY in str(probes.get(each["name"])) and _steady(each, now) for each in open_)
    )


def runs(pod: Object, now: datetime | None) -> bool:
    """Whether a pod of a Ray cluster does what it is for: it is Ready, or would be if it had a Serve proxy."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return is_true(conditions(pod.get("status") or {}).get("Ready")) or without_proxy(pod, now)


def reasons(pods: Iterable[Object], related: Related, limit: int = 2) -> str:
    """Why some of ``pods`` are not ready, equal reasons taken together, failures first; empty where all are."""
    found: dict[tuple[bool, str], list[str]] = {}
    for each in _staying(pods):
        health = pod(each, related)
        if health.state != "ready":
            found.setdefault((health.state != "failed", health.why), []).append(each["metadata"]["name"])
    told = []
    for (_, why), names in sorted(found.items())[:limit]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        told.append(f"{names[0]}{more}: {why}")
    if len(found) > limit:
        told.append(f"{len(found) - limit} more reasons")
    return "; ".join(told)


def stuck(pods: Iterable[Object], related: Related) -> bool:
    """Whether one of those that stay has failed."""
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
    count = container.get("restartCount") or 0
    return f"{count} restart{'s' if count != 1 else ''}"


def _end(container: dict[str, Any], which: str) -> str:
    ended = (container.get(which) or {}).get("terminated")
    if not ended or (which == "state" and ended.get("exitCode") == 0):
        return ""
    reason = ended.get("reason")
    text = f"exit {ended.get('exitCode')}" + (f" ({reason})" if reason and reason != "Error" else "")
    message = one_line(ended.get("message") or "", 120)
    return f"{text}: {message}" if message else text


def _past(status: dict[str, Any]) -> str:
    told = []
    for container in _containers(status):
        if container.get("restartCount"):
            end = _end(container, "lastState")
            told.append(f"{container['name']}: {_restarts(container)}" + (f", last {end}" if end else ""))
    return "; ".join(told)


def _latest(events: Iterable[Event], name: str, *reasons: str) -> Event | None:
    return next((each for each in events if each.name == name and each.reason in reasons), None)
