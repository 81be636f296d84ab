"""May we do what apply, status, scale, train, down and logs will do?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.facts import Facts, Right, Unknown

_SUBJECT = "permissions"


def rights_checks(facts: Facts) -> Iterator[Check]:
    refused = [right for right, allowed in facts.rights.items() if allowed is False]
    unseen = {right: answer for right, answer in facts.rights.items() if isinstance(answer, Unknown)}
    for (group, resource, namespace), verbs in _by_resource(refused).items():
        what = str(Right(", ".join(verbs), group, resource, namespace))
        yield Check(
            _SUBJECT, "problem", f"not allowed: {what}", "a Role or ClusterRole with these verbs, bound to you"
        )
    if unseen:
        why = next(iter(unseen.values())).why
        yield Check(_SUBJECT, "unknown", f"{len(unseen)} could not be asked: {why}", "ask with kubectl auth can-i")
    if not refused and not unseen:
        yield Check(_SUBJECT, "ok", f"all {len(facts.rights)} that apply, status, scale, train, down and logs need")


def _by_resource(rights: list[Right]) -> dict[tuple[str, str, str | None], list[str]]:
    found: dict[tuple[str, str, str | None], list[str]] = defaultdict(list)
    for right in rights:
        found[right.group, right.resource, right.namespace].append(right.verb)
    return found
