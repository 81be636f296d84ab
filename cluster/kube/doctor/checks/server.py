"""Is the API server new enough?"""

from __future__ import annotations

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.facts import Facts
from cluster.kube.rules.versions import parse

FLOOR = "1.30"
_WHY = (
    "a sleep before a container stops is on since 1.30, sidecars as init containers and CEL rules in CRDs since "
    "1.29; without them pods are refused or wait for ever, and schemas are not checked"
)


def server_check(facts: Facts) -> Check:
    found = f"{facts.version} at {facts.server}"
    try:
        enough = parse(facts.version) >= parse(FLOOR)
    except ValueError:
        return Check(
            "API server", "unknown", f"{found}: no version that can be compared", f"{FLOOR} or later is needed"
        )
    if not enough:
        return Check("API server", "problem", found, f"upgrade Kubernetes to {FLOOR} or later: {_WHY}")
    return Check("API server", "ok", found)
