"""Errors in Ray's objects that neither the API server nor the operator reports: the object is stored and never works.

Everything else that is wrong with an object is reported by the server's dry run (:mod:`cluster.kube.preflight`) or by
the operator's Warning event (:mod:`cluster.kube.operator_warnings`).
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.kube.manifest import Object, key_of
from cluster.kube.reading import at

SUBMISSION_MODES = ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")


def silent_errors(obj: Object) -> Iterator[str]:
    """Yields a sentence per error (KubeRay 1.7.0; each was seen on a real operator)."""
    key = key_of(obj)
    if obj["kind"] == "RayCronJob":
        yield f"{key} is ignored unless the operator has its feature gate RayCronJob on; a RayJob is accepted"
    for kind, path in (("RayJob", ("spec",)), ("RayCronJob", ("spec", "jobTemplate"))):
        mode = at(obj, *path, "submissionMode") if obj["kind"] == kind else None
        if mode is not None and mode not in SUBMISSION_MODES:
            field, accepted = ".".join((*path, "submissionMode")), ", ".join(SUBMISSION_MODES)
            yield f"{key}: {field} is {mode!r}, with which no job is ever submitted; accepted: {accepted}"
