"""Is the namespace there, or does an apply make it?"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.facts import Facts, Unknown
from cluster.kube.manifest import Object
from cluster.kube.rules.reading import at


def namespace_check(facts: Facts, rendered: Iterable[Object]) -> Check:
    there, subject = facts.namespace_object, "namespace"
    if isinstance(there, Unknown):
        return Check(subject, "unknown", f"{facts.namespace}: {there.why}", "see to it that it is there")
    if there is None:
        if any(obj["kind"] == "Namespace" and obj["metadata"]["name"] == facts.namespace for obj in rendered):
            return Check(subject, "ok", f"{facts.namespace} is not there yet; apply makes it")
        advice = f"kubectl create namespace {facts.namespace}"
        return Check(
            subject, "problem", f"{facts.namespace} is not there, and these manifests do not make it", advice
        )
    if at(there, "status", "phase") == "Terminating":
        return Check(
            subject, "problem", f"{facts.namespace} is being deleted", "wait until it is gone, or take another"
        )
    return Check(subject, "ok", f"{facts.namespace} is there")
