"""Changes of namespace in fields other than ``metadata.namespace``, the only one that Kustomize changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cluster.kube.manifest import Object

_REFERENCES = ("namespace", "kubernetes.io/metadata.name")
"""Keys whose value is a namespace: of a binding's subject, a route's parent, a policy's peer."""


def moves(obj: Object, old: str, new: str) -> list[dict[str, Any]]:
    """Returns the operations of a JSON patch that put ``new`` where ``obj`` names the namespace ``old``.

    That is a reference to the namespace, a service's host (``x.old``, ``x.old.svc``) or a mesh identity
    (``/ns/old/``) in any text.
    """
    text = re.compile(rf"(?<=/ns/){re.escape(old)}(?=/)|(?<=[a-z0-9]\.){re.escape(old)}(?=\.svc\b|[:,]|$)")
    operations = []
    for path, value in _texts(obj, ()):
        if path == ("metadata", "namespace"):
            continue
        reference = path[-1] in _REFERENCES or path[-2:-1] == ("matchNames",)
        moved = new if reference and value == old else text.sub(new, value)
        if moved != value:
            operations.append({"op": "replace", "path": pointer(*path), "value": moved})
    return operations


def pointer(*tokens: str) -> str:
    """Returns the JSON pointer (RFC 6901) of the tokens."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _texts(each, (*path, str(key)))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _texts(each, (*path, str(index)))
