"""Rights and Secrets that the rendered objects need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cluster.kube.manifest import Object, key_of
from cluster.kube.reading import at, mapping, objects, text

_VERBS = ("get", "list", "watch", "create", "patch", "delete")
"""up: get, create, patch; status: get, list, watch; down: get, watch, delete."""
_READ = (
    ("", "pods"),
    ("", "events"),
    ("events.k8s.io", "events"),
    ("", "configmaps"),
    ("", "persistentvolumeclaims"),
    ("", "services"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("policy", "poddisruptionbudgets"),
    ("ray.io", "rayclusters"),
    ("ray.io", "rayjobs"),
    ("ray.io", "rayservices"),
)
"""Resources that ``status``, ``logs`` and a wait read for any overlay. For RBAC, events are two resources."""
_WRITTEN = (("patch", "ray.io", "rayclusters"), ("create", "ray.io", "rayjobs"))
"""``scale`` patches the RayCluster that the operator has made; ``train`` creates a RayJob."""
_TOKEN_KEY = "auth_token"  # noqa: S105  (a key's name)
TLS_KEYS = frozenset({"tls.crt", "tls.key"})
"""Keys of a Secret of type ``kubernetes.io/tls``."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """A verb on a resource (``pods/log`` names a subresource); ``namespace`` is ``None`` for the whole cluster."""

    verb: str
    group: str
    resource: str
    namespace: str | None

    def __str__(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in the whole cluster"
        return f"{self.verb} {self.resource}{'.' if self.group else ''}{self.group} {where}"


def namespace_of(rendered: Iterable[Object], default: str) -> str:
    """Returns the namespace that the objects name; ``default`` where none of them does."""
    found = (text(at(obj, "metadata", "namespace")) for obj in rendered)
    return next((name for name in found if name), default)


def resource_of(kind: str) -> str:
    """Returns the plural of a kind by the rule of Kubernetes' own scaffolding (``UnsafeGuessKindToResource``)."""
    name = kind.lower()
    if name.endswith("s"):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def rights_of(rendered: Iterable[Object], namespace: str) -> list[Right]:
    """Returns the rights that up, status, scale, train, down and logs need for these objects."""
    found = set()
    for obj in rendered:
        key = key_of(obj)
        group = key.api_version.rpartition("/")[0]
        found |= {Right(verb, group, resource_of(key.kind), key.namespace) for verb in _VERBS}
    for group, resource in _READ:
        found |= {Right(verb, group, resource, namespace) for verb in ("get", "list", "watch")}
    found |= {Right(verb, group, resource, namespace) for verb, group, resource in _WRITTEN}
    found.add(Right("get", "", "pods/log", namespace))
    return sorted(found, key=lambda right: (right.group, right.resource, _VERBS.index(right.verb)))


def secrets_of(rendered: Iterable[Object]) -> dict[str, frozenset[str]]:
    """Returns the Secrets that the objects refer to, each with the keys that are named.

    Left out are Secrets that the objects bring along, and references that say ``optional``.
    """
    rendered = list(rendered)
    brought = {obj["metadata"]["name"] for obj in rendered if obj["kind"] == "Secret"}
    found: dict[str, set[str]] = defaultdict(set)
    for obj in rendered:
        for name, key in _references(obj.get("spec")):
            found[name] |= {key} if key else set()
    return {name: frozenset(keys) for name, keys in sorted(found.items()) if name and name not in brought}


def _references(value: Any) -> Iterator[tuple[str, str | None]]:
    """Yields ``(name, key)`` wherever a spec refers to a Secret as pods, volumes, KubeRay and the Gateway API do."""
    if isinstance(value, list):
        for entry in value:
            yield from _references(entry)
        return
    for field, inner in mapping(value).items():
        reference = mapping(inner)
        if reference.get("optional") is not True:
            match field:
                case "secretKeyRef":
                    yield text(reference.get("name")), text(reference.get("key"))
                case "secretRef":
                    yield text(reference.get("name")), None
                case "secret":  # a volume's secretName, a projected volume's name
                    name = text(reference.get("secretName")) or text(reference.get("name"))
                    yield name, None
                    yield from ((name, text(item.get("key"))) for item in objects(reference.get("items")))
                case "certificateRefs":  # a Gateway's; one of another group or namespace is not ours to check
                    for entry in objects(inner):
                        elsewhere = entry.get("group") or entry.get("namespace")
                        if entry.get("kind", "Secret") == "Secret" and not elsewhere:
                            yield from ((text(entry.get("name")), key) for key in sorted(TLS_KEYS))
                case "imagePullSecrets":
                    yield from ((text(entry.get("name")), None) for entry in objects(inner))
                case "authOptions" if reference.get("secretName"):
                    yield text(reference["secretName"]), _TOKEN_KEY
        yield from _references(inner)
