"""JSON pointers (RFC 6901) into objects, with errors that say where the path ends."""

from __future__ import annotations

from typing import Any

from cluster.kube.errors import UsageError
from cluster.kube.manifest import Object

APPEND = "-"


def split(pointer: str) -> list[str]:
    """The pointer's tokens, unescaped.

    Raises:
        UsageError: it does not begin with a slash.
    """
    if not pointer.startswith("/") or pointer == "/":
        raise UsageError(f"{pointer!r} is no JSON pointer; one such as /spec/replicas is accepted")
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]


def join(tokens: list[str]) -> str:
    """The pointer of the tokens."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


def set_value(obj: Object, pointer: str, value: Any) -> dict[str, Any]:
    """Set ``pointer`` of ``obj`` in place; a list takes an index that it has, or ``-`` for one more.

    Returns:
        The operation of a JSON patch (RFC 6902) that does the same.

    Raises:
        UsageError: the parent does not exist; the message says where the path ends and what is there.
    """
    tokens = split(pointer)
    parent: Any = obj
    for depth, token in enumerate(tokens[:-1]):
        parent = _child(parent, token, tokens[:depth], pointer)
    last = tokens[-1]
    if isinstance(parent, dict):
        operation = "replace" if last in parent else "add"
        parent[last] = value
    elif isinstance(parent, list) and last == APPEND:
        operation = "add"
        parent.append(value)
    else:
        _child(parent, last, tokens[:-1], pointer)
        operation = "replace"
        parent[int(last)] = value
    return {"op": operation, "path": pointer, "value": value}


def _child(parent: Any, token: str, above: list[str], pointer: str) -> Any:
    where = join(above) or "the object"
    if isinstance(parent, dict):
        if token in parent:
            return parent[token]
        raise UsageError(f"{pointer}: {where} has no {token!r}; it has {', '.join(map(str, parent)) or 'nothing'}")
    if isinstance(parent, list):
        if token.isdecimal() and int(token) < len(parent):
            return parent[int(token)]
        names = [each.get("name") or each.get("groupName") for each in parent if isinstance(each, dict)]
        shown = ", ".join(f"{index} ({name})" if name else str(index) for index, name in enumerate(names))
        raise UsageError(f"{pointer}: {where} is a list and has no {token!r}; it has {shown or 'nothing'}")
    raise UsageError(f"{pointer}: the path ends at {where}, which is {parent!r}")
