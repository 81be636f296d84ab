"""An object of one of KubeRay's kinds against all that its operator asks of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from cluster.kube.manifest import Object, key_of
from cluster.kube.rules import never_works
from cluster.kube.rules.cluster import raycluster_findings
from cluster.kube.rules.cronjob import raycronjob_findings
from cluster.kube.rules.finding import Finding
from cluster.kube.rules.gates import DEFAULT_GATES, Gates
from cluster.kube.rules.job import rayjob_findings
from cluster.kube.rules.reading import at, mapping
from cluster.kube.rules.service import rayservice_findings
from cluster.kube.rules.status import raycluster_status_findings, rayjob_status_findings
from cluster.kube.rules.violation import Severity, Violation

_OPERATOR = "ray.io/kuberay-operator"


def violations(obj: Object, gates: Gates = DEFAULT_GATES) -> list[Violation]:
    """Everything in ``obj`` for which the operator would refuse it, in the order of the fields' rules.

    The API server takes such an object; the operator then writes a Warning event and does nothing (KubeRay 1.7.0,
    ``ray-operator/controllers/ray/utils/validation.go``). It stops at the first rule, this goes on. An object of
    another kind, and one that another controller manages (``spec.managedBy``), has none.

    Raises:
        ValueError: ``obj`` has no ``apiVersion``, ``kind`` or name.
    """
    return _judged(obj, "error", _refusals(obj, gates))


def warnings(
    obj: Object,
    gates: Gates = DEFAULT_GATES,
    *,
    clusters: Collection[str] | None = None,
) -> list[Violation]:
    """What the operator accepts and that never works, of severity ``warning``.

    ``clusters`` names the RayClusters of the object's namespace that are there, for ``clusterSelector``; ``None``
    leaves that unjudged. Whether a submitter's image has a ``python`` cannot be seen from here.

    Raises:
        ValueError: ``obj`` has no ``apiVersion``, ``kind`` or name.
    """
    return _judged(obj, "warning", _doubts(obj, gates, clusters))


def _judged(obj: Object, severity: Severity, findings: Iterator[Finding]) -> list[Violation]:
    key = key_of(obj)
    if not key.api_version.startswith("ray.io/") or at(obj, "spec", "managedBy") not in (None, _OPERATOR):
        return []
    return [Violation(key, found.field, found.value, found.accepted, severity) for found in findings]


def _refusals(obj: Object, gates: Gates) -> Iterator[Finding]:
    match obj.get("kind"):
        case "RayCluster":
            yield from raycluster_findings(obj, gates)
            yield from raycluster_status_findings(obj)
        case "RayJob":
            yield from rayjob_findings(obj, gates)
            yield from rayjob_status_findings(obj)
        case "RayService":
            yield from rayservice_findings(obj, gates)
        case "RayCronJob":
            yield from raycronjob_findings(obj, gates)


def _doubts(obj: Object, gates: Gates, clusters: Collection[str] | None) -> Iterator[Finding]:
    spec = mapping(obj.get("spec"))
    match obj.get("kind"):
        case "RayCluster":
            yield from never_works.raycluster_doubts(spec, "spec")
        case "RayJob":
            yield from never_works.rayjob_doubts(spec, "spec", clusters)
        case "RayService":
            yield from never_works.rayservice_doubts(spec, gates)
        case "RayCronJob":
            yield from never_works.raycronjob_doubts(obj, gates, clusters)
