"""What the rendered objects need of a cluster: kinds, rights, and Secrets with their keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from cluster.kube.doctor.facts import ApiKind, Right
from cluster.kube.manifest import Object, key_of
from cluster.kube.rules.reading import at, mapping, objects, text

_EACH = ("get", "list", "watch", "create", "patch", "delete")
"""apply: get, create, patch; status: get, list, watch; down: get, watch, delete."""
_LOOKED_AT = (
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
"""What ``status``, ``logs`` and a wait read whatever was rendered. To RBAC events are two resources."""
_WRITTEN = (("patch", "ray.io", "rayclusters"), ("create", "ray.io", "rayjobs"))
"""``scale`` patches the RayCluster that the operator has made; ``train`` makes a RayJob."""
_TOKEN_KEY = "auth_token"  # noqa: S105  (a key's name)
TLS_KEYS = frozenset({"tls.crt", "tls.key"})
"""Those of a Secret of type ``kubernetes.io/tls``."""
_OPERATORS_KINDS: ApiKind = ("cert-manager.io/v1", "Certificate")


def namespace_of(rendered: Iterable[Object], default: str) -> str:
    """The namespace that the objects are in; ``default`` where none of them says."""
    return next(
        (text(at(obj, "metadata", "namespace")) for obj in rendered if at(obj, "metadata", "namespace")), default
    )


def kinds_of(rendered: Iterable[Object]) -> list[ApiKind]:
    """Their kinds, and cert-manager's where the operator is to make certificates."""
    found = {(obj["apiVersion"], obj["kind"]) for obj in rendered}
    if any(at(spec, "tlsOptions", "enabled") is True for spec in cluster_specs(rendered)):
        found.add(_OPERATORS_KINDS)
    return sorted(found)


def cluster_specs(rendered: Iterable[Object]) -> Iterator[Object]:
    """The RayCluster specs in them, whatever kind holds them."""
    for obj in rendered:
        spec = mapping(obj.get("spec"))
        match obj["kind"]:
            case "RayCluster":
                yield spec
            case "RayService":
                yield mapping(spec.get("rayClusterConfig"))
            case "RayJob":
                yield mapping(spec.get("rayClusterSpec"))
            case "RayCronJob":
                yield mapping(at(spec, "jobTemplate", "rayClusterSpec"))


def resource_of(kind: str) -> str:
    """The plural of a kind, by the rule that Kubernetes' own scaffolding follows (``UnsafeGuessKindToResource``)."""
    name = kind.lower()
    if name.endswith("s"):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def rights_of(rendered: Iterable[Object], namespace: str) -> list[Right]:
    """What apply, status, scale, train, down and logs of these objects must be allowed."""
    found = set()
    for obj in rendered:
        key = key_of(obj)
        group = key.api_version.partition("/")[0] if "/" in key.api_version else ""
        found |= {Right(verb, group, resource_of(key.kind), key.namespace) for verb in _EACH}
    for group, resource in _LOOKED_AT:
        found |= {Right(verb, group, resource, namespace) for verb in ("get", "list", "watch")}
    found |= {Right(verb, group, resource, namespace) for verb, group, resource in _WRITTEN}
    found.add(Right("get", "", "pods/log", namespace))
    return sorted(found, key=lambda right: (right.group, right.resource, _EACH.index(right.verb)))


def secrets_of(rendered: Iterable[Object]) -> dict[str, frozenset[str]]:
    """The Secrets that are referred to and must be there, each with the keys that are named.

    A Secret that the objects bring along, and a reference that says ``optional``, is not among them.
    """
    rendered = list(rendered)
    brought = {obj["metadata"]["name"] for obj in rendered if obj["kind"] == "Secret"}
    found: dict[str, set[str]] = defaultdict(set)
    for obj in rendered:
        for name, key in _references(obj.get("spec")):
            found[name] |= {key} if key else set()
    return {name: frozenset(keys) for name, keys in sorted(found.items()) if name and name not in brought}


def _references(value: Any) -> Iterator[tuple[str, str | None]]:
    """``(name, key)`` wherever a spec refers to a Secret as pods, volumes, KubeRay and the Gateway API do."""
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
                case "certificateRefs":  # a Gateway's; another group or namespace is somebody else's
                    for entry in objects(inner):
                        elsewhere = entry.get("group") or entry.get("namespace")
                        if entry.get("kind", "Secret") == "Secret" and not elsewhere:
                            yield from ((text(entry.get("name")), key) for key in sorted(TLS_KEYS))
                case "imagePullSecrets":
                    yield from ((text(entry.get("name")), None) for entry in objects(inner))
                case "authOptions" if reference.get("secretName"):
                    yield text(reference["secretName"]), _TOKEN_KEY
        yield from _references(inner)
