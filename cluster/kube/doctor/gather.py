"""The questions to the API server. Nothing is changed: what is sent is sent as a dry run or is a question itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from cluster.kube.doctor.facts import ApiKind, DryRun, Facts, Right, Unknown
from cluster.kube.doctor.needs import kinds_of, rights_of, secrets_of
from cluster.kube.errors import (
    ApiError,
    FieldConflictError,
    MissingKindError,
    NotFoundError,
    UnauthenticatedError,
)
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.rules.reading import at, mapping

OPERATOR = "kuberay-operator"
_OPERATOR_LABEL = f"app.kubernetes.io/name={OPERATOR}"

T = TypeVar("T")


class Server(Protocol):
    """What is asked here of ``cluster.kube.api.Kube``."""

    server: str

    def find(self, key: Key) -> Object | None: ...

    def list(
        self, api_version: str, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> list[Object]: ...

    def create(self, obj: Object) -> Object: ...

    def apply(self, obj: Object, *, force: bool = False, dry_run: bool = False) -> Object: ...

    def is_namespaced(self, api_version: str, kind: str) -> bool: ...

    def server_version(self) -> str: ...


def gather(kube: Server, rendered: Sequence[Object], namespace: str) -> Facts:
    """Everything that the checks of these objects look at.

    Raises:
        UnreachableError, UnauthenticatedError: there is nobody to ask.
    """
    there = _seen(lambda: kube.find(Key("v1", "Namespace", namespace)))
    kinds = {kind: _has(kube, kind) for kind in kinds_of(rendered)}
    rendered = [
        _placed(kube, obj, namespace) if kinds[obj["apiVersion"], obj["kind"]] is True else obj for obj in rendered
    ]
    return Facts(
        server=kube.server,
        version=kube.server_version(),
        namespace=namespace,
        namespace_object=there,
        rights={right: _seen(partial(_may, kube, right)) for right in rights_of(rendered, namespace)},
        kinds=kinds,
        operators=_operators(kube, namespace),
        storage_classes=_all(kube, "storage.k8s.io/v1", "StorageClass", None),
        nodes=_all(kube, "v1", "Node", None),
        secrets={name: _keys(kube, Key("v1", "Secret", name, namespace)) for name in secrets_of(rendered)},
        limit_ranges=_all(kube, "v1", "LimitRange", namespace),
        quotas=_all(kube, "v1", "ResourceQuota", namespace),
        clusters=_clusters(kube, namespace),
        dry_runs={key_of(obj): _dry_run(kube, obj, there, kinds) for obj in rendered},
    )


def _seen(ask: Callable[[], T]) -> T | Unknown:
    """The answer; what the server keeps from us is unknown. Without a login there is nothing to see at all."""
    try:
        return ask()
    except UnauthenticatedError:
        raise
    except ApiError as error:
        return Unknown(error.message)


def _all(kube: Server, api_version: str, kind: str, namespace: str | None) -> tuple[Object, ...] | Unknown:
    return _seen(lambda: tuple(kube.list(api_version, kind, namespace)))


def _has(kube: Server, kind: ApiKind) -> bool | Unknown:
    def ask() -> bool:
        try:
            kube.is_namespaced(*kind)
        except MissingKindError:
            return False
        return True

    return _seen(ask)


def _placed(kube: Server, obj: Object, namespace: str) -> Object:
    """With its namespace, as an apply would send it where the manifests name none."""
    if obj["metadata"].get("namespace") or not kube.is_namespaced(obj["apiVersion"], obj["kind"]):
        return obj
    return obj | {"metadata": obj["metadata"] | {"namespace": namespace}}


def _may(kube: Server, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {"verb": right.verb, "group": right.group, "resource": resource}
    if subresource:
        attributes["subresource"] = subresource
    if right.namespace:
        attributes["namespace"] = right.namespace
    review = kube.create(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
    )
    return at(review, "status", "allowed") is True


def _operators(kube: Server, namespace: str) -> tuple[Object, ...] | Unknown:
    """By label everywhere, else by name in the namespaces that we may look into."""
    everywhere = _seen(lambda: kube.list("apps/v1", "Deployment", None, labels=_OPERATOR_LABEL))
    if isinstance(everywhere, list):
        if not everywhere:
            everywhere = kube.list("apps/v1", "Deployment", None, fields=f"metadata.name={OPERATOR}")
        return tuple(everywhere)
    found = []
    for place in dict.fromkeys((OPERATOR, "default", "ray-system", namespace)):
        one = _seen(partial(kube.find, Key("apps/v1", "Deployment", OPERATOR, place)))
        if isinstance(one, dict):
            found.append(one)
    return tuple(found) or everywhere


def _keys(kube: Server, key: Key) -> frozenset[str] | Unknown | None:
    """The names of a Secret's keys; its values are dropped here."""
    secret = _seen(lambda: kube.find(key))
    return frozenset(mapping(secret.get("data"))) if isinstance(secret, dict) else secret


def _clusters(kube: Server, namespace: str) -> frozenset[str] | Unknown:
    found = _all(kube, "ray.io/v1", "RayCluster", namespace)
    return found if isinstance(found, Unknown) else frozenset(obj["metadata"]["name"] for obj in found)


def _dry_run(
    kube: Server, obj: Object, namespace: Object | Unknown | None, kinds: dict[ApiKind, bool | Unknown]
) -> DryRun:
    key = key_of(obj)
    if namespace is None and key.namespace:
        return DryRun("unknown", f"namespace {key.namespace} is not there yet")
    if kinds[key.api_version, key.kind] is False:
        return DryRun("unknown", f"the server has no {key.api_version} {key.kind}")
    try:
        kube.apply(obj, dry_run=True)
    except UnauthenticatedError:
        raise
    except FieldConflictError as error:
        return DryRun("conflict", error.message)
    except NotFoundError as error:
        return DryRun("unknown", error.message)
    except ApiError as error:
        return DryRun("refused", error.message)
    return DryRun("accepted")
