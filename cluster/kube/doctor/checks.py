"""Checks of a cluster for rendered objects: API server, rights, operator, Secrets, storage classes, a dry run.

Nothing is changed: each request is a read, a SelfSubjectAccessReview, or a dry run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial

from cluster.kube.api import Kube
from cluster.kube.applying import Outcome
from cluster.kube.doctor.answers import Unknown, answer_to, at_least, version_of
from cluster.kube.doctor.needs import TLS_KEYS, Right, rights_of, secrets_of
from cluster.kube.doctor.operator import operator_checks
from cluster.kube.doctor.report import Check
from cluster.kube.errors import ApiError, MissingKindError, UnauthenticatedError, UnreachableError
from cluster.kube.manifest import Key, Object
from cluster.kube.preflight import dry_runs
from cluster.kube.reading import at, mapping, objects
from cluster.kube.silent_errors import silent_errors

KUBERNETES_FLOOR = (1, 30)
"""A sleep before a container stops is on since 1.30, sidecars and CEL rules in CRDs since 1.29."""
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_PROJECTS = {
    "ray.io": "KubeRay 1.7",
    "kueue.x-k8s.io": "Kueue",
    "gateway.networking.k8s.io": "the Gateway API's CRDs (standard channel) and a controller for them",
    "networking.istio.io": "Istio",
    "security.istio.io": "Istio",
    "monitoring.coreos.com": "the Prometheus Operator",
}


def examine(kube: Kube, rendered: Sequence[Object], namespace: str) -> list[Check]:
    """Returns the checks in the order in which a person would look; the first alone where no server answers."""
    try:
        server = _server(kube)
        here, kinds = _with_namespaces(kube, rendered, namespace)
        return [
            server,
            *kinds,
            *_rights(kube, rendered if kinds else here, namespace),
            *operator_checks(kube, rendered, namespace),
            *_secrets(kube, rendered, namespace),
            *_storage(kube, rendered),
            *_dry_run(kube, here, namespace),
        ]
    except (UnreachableError, UnauthenticatedError) as error:
        found, _, advice = str(error).partition("\n")
        return [Check("API server", "problem", found, advice.strip() or "start the server, or log in again")]


def _server(kube: Kube) -> Check:
    words = kube.server_version()
    found, needed, version = f"{words} at {kube.server}", at_least(KUBERNETES_FLOOR), version_of(words)
    if version is None:
        return Check("API server", "unknown", f"{found}: no version that can be compared", f"{needed} is needed")
    if version < KUBERNETES_FLOOR:
        return Check("API server", "problem", found, f"upgrade Kubernetes to {needed}: older ones refuse the pods")
    return Check("API server", "ok", found)


def _with_namespaces(kube: Kube, rendered: Sequence[Object], namespace: str) -> tuple[list[Object], list[Check]]:
    """Returns the objects of kinds that the server has, as an apply would send them, and a problem per other kind."""
    here, checks = [], {}
    for obj in rendered:
        api_version, kind = obj["apiVersion"], obj["kind"]
        try:
            if kube.is_namespaced(api_version, kind) and not obj["metadata"].get("namespace"):
                obj = obj | {"metadata": obj["metadata"] | {"namespace": namespace}}
            here.append(obj)
        except MissingKindError:
            project = _PROJECTS.get(api_version.partition("/")[0])
            advice = f"install {project}" if project else "a Kubernetes that has it, or an overlay without it"
            checks[kind] = Check("kinds", "problem", f"the server has no {kind} of {api_version}", advice)
        except UnauthenticatedError:
            raise
        except ApiError as error:
            checks[kind] = Check("kinds", "unknown", f"{kind}: {error.message}", "discovery must be allowed")
    return here, list(checks.values())


def _rights(kube: Kube, rendered: Sequence[Object], namespace: str) -> Iterator[Check]:
    rights = rights_of(rendered, namespace)
    answers = {right: answer_to(partial(_may, kube, right)) for right in rights}
    refused: dict[tuple[str, str, str | None], list[str]] = defaultdict(list)
    for right, allowed in answers.items():
        if allowed is False:
            refused[right.group, right.resource, right.namespace].append(right.verb)
    for where, verbs in refused.items():
        advice = "a Role or ClusterRole with these verbs, bound to you"
        yield Check("permissions", "problem", f"not allowed: {Right(', '.join(verbs), *where)}", advice)
    unknown = [answer.why for answer in answers.values() if isinstance(answer, Unknown)]
    if unknown:
        found = f"{len(unknown)} could not be asked: {unknown[0]}"
        yield Check("permissions", "unknown", found, "ask with kubectl auth can-i")
    elif not refused:
        yield Check("permissions", "ok", f"all {len(rights)} that up, status, scale, train, down and logs need")


def _may(kube: Kube, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {"verb": right.verb, "group": right.group, "resource": resource}
    attributes |= {"subresource": subresource} if subresource else {}
    attributes |= {"namespace": right.namespace} if right.namespace else {}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    return at(kube.create(review), "status", "allowed") is True


def _secrets(kube: Kube, rendered: Sequence[Object], namespace: str) -> Iterator[Check]:
    """Only the names of a Secret's keys are looked at."""
    for name, keys in secrets_of(rendered).items():
        secret = answer_to(partial(kube.find, Key("v1", "Secret", name, namespace)))
        listed = ", ".join(sorted(keys)) or "those that its reader wants"
        if isinstance(secret, Unknown):
            yield Check("secrets", "unknown", f"{name}: {secret.why}", f"it must be there, with the keys {listed}")
        elif secret is None:
            literals = " ".join(f"--from-literal={key}=…" for key in sorted(keys)) or "--from-env-file=FILE"
            kind = f"tls {name} --cert=FILE --key=FILE" if keys == TLS_KEYS else f"generic {name} {literals}"
            yield Check("secrets", "problem", f"{name} is not there", f"kubectl -n {namespace} create secret {kind}")
        elif missing := keys - set(mapping(secret.get("data"))):
            found = f"{name} has no key {', '.join(sorted(missing))}"
            yield Check("secrets", "problem", found, f"add it; the keys read are {listed}")
        else:
            yield Check("secrets", "ok", f"{name}: {', '.join(sorted(keys)) or 'there'}")


def _storage(kube: Kube, rendered: Sequence[Object]) -> Iterator[Check]:
    claims = {
        f"claim {name}": mapping(spec).get("storageClassName")
        for obj in rendered
        for name, spec in (
            [(obj["metadata"]["name"], obj["spec"])]
            if obj["kind"] == "PersistentVolumeClaim"
            else [
                (f"{at(each, 'metadata', 'name')} of {obj['metadata']['name']}", each.get("spec"))
                for each in objects(at(obj, "spec", "volumeClaimTemplates"))
            ]
        )
    }
    if not claims:
        return
    classes = answer_to(lambda: kube.list("storage.k8s.io/v1", "StorageClass", None))
    if isinstance(classes, Unknown):
        yield Check("storage", "unknown", classes.why, "see that each claim has a class, or one class is the default")
        return
    names = [str(at(each, "metadata", "name")) for each in classes]
    defaults = [
        n for n, c in zip(names, classes, strict=True) if at(c, "metadata", "annotations", _DEFAULT_CLASS) == "true"
    ]
    there = f"there are: {', '.join(names) or 'none'}"
    for claim, named in claims.items():
        if named == "":
            yield Check("storage", "unknown", f"{claim} takes an existing volume", "a PersistentVolume for it")
        elif named and named not in names:
            yield Check("storage", "problem", f"{claim}: no class {named}", f"another storageClassName; {there}")
        elif not named and not defaults:
            advice = f"name one as storageClassName; {there}"
            yield Check("storage", "problem", f"{claim}: no class is the default", advice)
        else:
            yield Check("storage", "ok", f"{claim}: class {named or f'{defaults[0]}, the default'}")


def _dry_run(kube: Kube, here: Sequence[Object], namespace: str) -> Iterator[Check]:
    subject = "dry run"
    for error in (error for obj in here for error in silent_errors(obj)):
        yield Check(subject, "warning", error)
    live = answer_to(lambda: kube.find(Key("v1", "Namespace", namespace)))
    if live is None:
        inside = sum(bool(obj["metadata"].get("namespace")) for obj in here)
        made = any((obj["kind"], obj["metadata"]["name"]) == ("Namespace", namespace) for obj in here)
        found = f"namespace {namespace} is not there yet, so {inside} objects cannot be checked"
        advice = f"kubectl create namespace {namespace}, and ask again"
        yield Check(subject, "unknown" if made else "problem", found, advice)
        here = [obj for obj in here if not obj["metadata"].get("namespace")]
    accepted = 0
    for key, answer in dry_runs(kube, here):
        if isinstance(answer, ApiError):
            yield Check(subject, "problem", f"{key}: {answer.message}", answer.advice or "change the manifest")
        elif answer.outcome is Outcome.CONFLICT:
            owners = ", ".join(f"{each.manager!r} owns {each.field}" for each in answer.conflicts)
            advice = "up leaves the object as it is; --force-conflicts takes the field over"
            yield Check(subject, "warning", f"{key}: {owners}", advice)
        else:
            accepted += 1
    if accepted:
        yield Check(subject, "ok", f"{accepted} objects are accepted")
