"""What an object's status may not say of itself; a manifest has none, an object from the server does."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.kube.manifest import Object
from cluster.kube.rules.finding import Finding
from cluster.kube.rules.reading import at, objects

_SUSPENDING, _SUSPENDED = "RayClusterSuspending", "RayClusterSuspended"


def raycluster_status_findings(obj: Object) -> Iterator[Finding]:
    true = {entry.get("type") for entry in objects(at(obj, "status", "conditions")) if entry.get("status") == "True"}
    if {_SUSPENDING, _SUSPENDED} <= true:
        yield Finding("status.conditions", [_SUSPENDED, _SUSPENDING], "one of the two at a time")


def rayjob_status_findings(obj: Object) -> Iterator[Finding]:
    mode = at(obj, "spec", "submissionMode")
    if at(obj, "status", "jobDeploymentStatus") == "Waiting" and mode != "InteractiveMode":
        yield Finding("status.jobDeploymentStatus", "Waiting", f"another one, as submissionMode is {mode}")
