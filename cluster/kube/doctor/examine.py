"""All checks of an overlay, in the order in which a person would look."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.checks.capacity import capacity_checks
from cluster.kube.doctor.checks.kinds import kinds_checks
from cluster.kube.doctor.checks.limits import limits_checks
from cluster.kube.doctor.checks.namespace import namespace_check
from cluster.kube.doctor.checks.objects import dry_run_checks, rules_checks
from cluster.kube.doctor.checks.operator import operator_checks
from cluster.kube.doctor.checks.pod_security import pod_security_checks
from cluster.kube.doctor.checks.rights import rights_checks
from cluster.kube.doctor.checks.secrets import secrets_checks
from cluster.kube.doctor.checks.server import server_check
from cluster.kube.doctor.checks.storage import storage_checks
from cluster.kube.doctor.facts import Facts
from cluster.kube.doctor.gather import Server, gather
from cluster.kube.errors import UnauthenticatedError, UnreachableError
from cluster.kube.manifest import Object


def examine(kube: Server, rendered: Sequence[Object], namespace: str) -> list[Check]:
    """Ask and judge. Where nobody answers, that is a problem, and only what needs no server is looked at besides."""
    try:
        facts = gather(kube, rendered, namespace)
    except (UnreachableError, UnauthenticatedError) as error:
        found, _, advice = str(error).partition("\n")
        asleep = Check("API server", "problem", found, advice.strip() or "see to the server, or log in anew")
        return [asleep, *rules_checks(None, rendered)]
    return judge(facts, rendered)


def judge(facts: Facts, rendered: Sequence[Object]) -> list[Check]:
    """The lines that these facts give."""
    return [
        server_check(facts),
        *rights_checks(facts),
        *kinds_checks(facts),
        *operator_checks(facts, rendered),
        namespace_check(facts, rendered),
        *pod_security_checks(facts, rendered),
        *limits_checks(facts, rendered),
        *secrets_checks(facts, rendered),
        *storage_checks(facts, rendered),
        *capacity_checks(facts, rendered),
        *rules_checks(facts, rendered),
        *dry_run_checks(facts),
    ]
