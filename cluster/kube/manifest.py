"""Kubernetes objects as plain dicts: their identity, and the order in which they are applied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

Object = dict[str, Any]
"""One object as the API server takes and gives it."""

_FIRST = (
    "Namespace",
    "ResourceQuota",
    "LimitRange",
    "PriorityClass",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "NetworkPolicy",
    "ConfigMap",
    "Secret",
    "PersistentVolumeClaim",
    "Service",
)
_LAST = ("RayCluster", "RayService", "RayJob", "RayCronJob")


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """An object's identity; ``namespace`` is ``None`` for a cluster-scoped one."""

    api_version: str
    kind: str
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def key_of(obj: Object) -> Key:
    """Returns the object's key.

    Raises:
        ValueError: ``apiVersion``, ``kind`` or ``metadata.name`` is missing or no text.
    """
    metadata = obj.get("metadata") or {}
    found = {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata.name": metadata.get("name")}
    for field, value in found.items():
        if not isinstance(value, str) or not value:
            raise ValueError(
                f"an object ({obj.get('kind')} {metadata.get('name')}) has {field}={value!r}; text is needed"
            )
    return Key(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))


def load(text: str) -> list[Object]:
    """Returns the objects of a YAML stream, ``List`` kinds taken apart, empty documents left out.

    Raises:
        ValueError: a document is not an object, or lacks what makes its key.
    """
    found: list[Object] = []
    for document in yaml.safe_load_all(text):
        if document is None:
            continue
        if not isinstance(document, dict):
            raise ValueError(f"a document of the stream is a {type(document).__name__}; an object is needed")
        found += document["items"] if str(document.get("kind", "")).endswith("List") else [document]
    for obj in found:
        key_of(obj)
    return found


def in_apply_order(objects: Iterable[Object]) -> list[Object]:
    """Returns what others refer to first (namespace, accounts, policies, settings, services), Ray's kinds last."""
    ranks = {kind: rank for rank, kind in enumerate(_FIRST)}
    ranks |= {kind: len(_FIRST) + 1 + rank for rank, kind in enumerate(_LAST)}
    return sorted(objects, key=lambda obj: ranks.get(obj["kind"], len(_FIRST)))
