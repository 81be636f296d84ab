"""Reading objects that nothing has checked yet.

What is absent or of the wrong type reads as if it were left out: types are the schema's business, and the API server
says so itself. The operator's rules judge only what the schema lets through.
"""

from __future__ import annotations

from typing import Any

from cluster.kube.manifest import Object


def mapping(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def at(obj: Any, *path: str) -> Any:
    """The value at the path, ``None`` where it does not lead on."""
    for name in path:
        obj = mapping(obj).get(name)
    return obj


def objects(value: Any) -> list[Object]:
    """The list's entries; one that is no object stands as an empty one, so that indices hold."""
    return [mapping(entry) for entry in value] if isinstance(value, list) else []


def number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def variables(env: Any) -> dict[str, Object]:
    """Environment variables by name; of two with one name the first, as the operator looks them up."""
    found: dict[str, Object] = {}
    for entry in objects(env):
        found.setdefault(text(entry.get("name")), entry)
    return found
