"""Does the server have the kinds, at the versions that the manifests use?"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.facts import Facts, Unknown

_PROJECTS = {
    "ray.io": "KubeRay 1.7",
    "kueue.x-k8s.io": "Kueue",
    "gateway.networking.k8s.io": "the Gateway API's CRDs (standard channel) and a controller for them",
    "networking.istio.io": "Istio",
    "security.istio.io": "Istio",
    "monitoring.coreos.com": "the Prometheus Operator",
    "cert-manager.io": "cert-manager, which the operator's mTLS needs",
}


def kinds_checks(facts: Facts) -> Iterator[Check]:
    missing = [kind for kind, there in facts.kinds.items() if there is False]
    for api_version, kind in missing:
        project = _PROJECTS.get(api_version.partition("/")[0])
        advice = f"install {project}" if project else "a Kubernetes that has it, or an overlay without it"
        yield Check("kinds", "problem", f"the server has no {kind} of {api_version}", advice)
    for (api_version, kind), there in facts.kinds.items():
        if isinstance(there, Unknown):
            yield Check("kinds", "unknown", f"{kind} of {api_version}: {there.why}", "discovery must be allowed")
    if all(there is True for there in facts.kinds.values()):
        yield Check("kinds", "ok", f"all {len(facts.kinds)} at the versions that are used")
