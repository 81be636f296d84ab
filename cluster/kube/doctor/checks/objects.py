"""Would the operator and the server take the objects themselves?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.checks.operator import gates_of
from cluster.kube.doctor.facts import Facts, Unknown
from cluster.kube.manifest import Object
from cluster.kube.rules import Gates, violations, warnings


def rules_checks(facts: Facts | None, rendered: Iterable[Object]) -> Iterator[Check]:
    """The operator's rules; without ``facts`` under the gates that 1.7 has by default."""
    rendered = list(rendered)
    gates = gates_of(facts) if facts else Gates()
    clusters = None if facts is None or isinstance(facts.clusters, Unknown) else facts.clusters
    ours = {obj["metadata"]["name"] for obj in rendered if obj["kind"] == "RayCluster"}
    known = None if clusters is None else clusters | ours
    clean = True
    for obj in rendered:
        for violation in violations(obj, gates):
            clean = False
            yield Check(
                "operator's rules", "problem", str(violation), "the operator would refuse it in an event only"
            )
        for violation in warnings(obj, gates, clusters=known):
            clean = False
            yield Check("operator's rules", "warning", str(violation), "it is taken and never works")
    if clean:
        yield Check("operator's rules", "ok", f"{len(rendered)} objects keep them")


def dry_run_checks(facts: Facts) -> Iterator[Check]:
    subject = "dry run"
    for key, run in facts.dry_runs.items():
        if run.outcome == "refused":
            yield Check(subject, "problem", f"{key}: {run.words}", "change the manifest, or what forbids it")
        elif run.outcome == "conflict":
            yield Check(subject, "warning", f"{key}: {run.words}", "leave the field to its manager, or apply --force")
    unknown = Counter(run.words for run in facts.dry_runs.values() if run.outcome == "unknown")
    for words, count in unknown.items():
        yield Check(subject, "unknown", f"{count} objects: {words}", "once that is there, ask again")
    accepted = sum(run.outcome == "accepted" for run in facts.dry_runs.values())
    if accepted:
        yield Check(subject, "ok", f"{accepted} objects are accepted")
