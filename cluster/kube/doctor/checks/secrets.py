"""Are the Secrets there that the manifests refer to, with their keys? Values are never looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.facts import Facts, Unknown
from cluster.kube.doctor.needs import TLS_KEYS, secrets_of
from cluster.kube.manifest import Object

_SUBJECT = "secrets"


def secrets_checks(facts: Facts, rendered: Iterable[Object]) -> Iterator[Check]:
    for name, keys in secrets_of(rendered).items():
        there = facts.secrets.get(name)
        listed = ", ".join(sorted(keys)) or "those that its reader wants"
        literals = " ".join(f"--from-literal={key}=…" for key in sorted(keys)) or "--from-env-file=FILE"
        make = f"kubectl -n {facts.namespace} create secret " + (
            f"tls {name} --cert=FILE --key=FILE" if keys == TLS_KEYS else f"generic {name} {literals}"
        )
        if isinstance(there, Unknown):
            yield Check(_SUBJECT, "unknown", f"{name}: {there.why}", f"see to it that it is there, with {listed}")
        elif there is None:
            yield Check(_SUBJECT, "problem", f"{name} is not there", make)
        elif keys - there:
            missing = ", ".join(sorted(keys - there))
            yield Check(_SUBJECT, "problem", f"{name} has no key {missing}", f"add it; the keys read are {listed}")
        else:
            yield Check(_SUBJECT, "ok", f"{name}: {', '.join(sorted(keys)) or 'there'}")
