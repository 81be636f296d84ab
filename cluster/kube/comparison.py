"""Differences between two states of an object: of an apply, and of a running cluster from its manifest."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from cluster.kube.manifest import Object

_SERVERS = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_NAMED = ("groupName", "name", "key", "type")
"""Fields that tell the entries of a list apart, where they have one of them."""
ABSENT = "(absent)"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation in which kubectl's client-side apply keeps the whole object, a Secret's values included."""


@dataclass(frozen=True, slots=True)
class Difference:
    """``field`` is a dotted path, list entries by name or index; ``ABSENT`` stands for no value."""

    field: str
    live: Any
    desired: Any

    def __str__(self) -> str:
        return f"{self.field}: {_short(self.live)} -> {_short(self.desired)}"


def stripped(obj: Object) -> Object:
    """Returns the object without the fields that only the server writes."""
    bare = copy.deepcopy(obj)
    bare.pop("status", None)
    for field in _SERVERS:
        bare.get("metadata", {}).pop(field, None)
    return bare


def same(before: Object, after: Object) -> bool:
    """True where only the server's own fields differ."""
    revisions = [obj["metadata"].get("resourceVersion") for obj in (before, after)]
    return revisions[0] == revisions[1] is not None or stripped(before) == stripped(after)


def unified(before: Object | None, after: Object, name: str) -> list[str]:
    """Returns a unified diff of the two as YAML, empty where nothing differs; ``before=None``: there is none yet.

    A Secret's values are hidden, and marked where they differ.
    """
    old = [] if before is None else _yaml(before, after, "before")
    return list(
        difflib.unified_diff(old, _yaml(after, before, "after"), f"live/{name}", f"desired/{name}", lineterm="")
    )


def differences(live: Any, desired: Any, field: str = "") -> Iterator[Difference]:
    """Yields the fields of ``desired`` that ``live`` has otherwise; fields of ``live`` alone (defaults) are none.

    Entries of a list are matched by name where all of them have one, else by index; an entry of ``live`` that
    ``desired`` lacks is a difference, since a list states all of its entries.
    """
    if isinstance(live, dict) and isinstance(desired, dict):
        for key, value in desired.items():
            yield from differences(live.get(key, ABSENT), value, f"{field}.{key}".lstrip("."))
    elif isinstance(live, list) and isinstance(desired, list):
        lives, wants = _entries(live), _entries(desired)
        if lives is None or wants is None:
            lives, wants = dict(enumerate(live)), dict(enumerate(desired))
        for key in [*wants, *(key for key in lives if key not in wants)]:
            yield from differences(lives.get(key, ABSENT), wants.get(key, ABSENT), f"{field}[{key}]")
    elif live != desired and not (live == ABSENT and desired in ({}, [])):
        yield Difference(field, live, desired)


def _entries(entries: list[Any]) -> dict[Any, Any] | None:
    for name in _NAMED:
        if entries and all(isinstance(entry, dict) and name in entry for entry in entries):
            found = {entry[name]: entry for entry in entries}
            return found if len(found) == len(entries) else None
    return None if entries else {}


def hidden(obj: Object, side: str, other: Object | None = None) -> Object:
    """Returns the object; a Secret's values are hidden, marked with ``side`` where they differ from ``other``'s."""
    if obj.get("kind") != "Secret":
        return obj
    obj = copy.deepcopy(obj)
    holders = [(obj, other or {}, field) for field in ("data", "stringData")]
    holders.append((obj.get("metadata") or {}, (other or {}).get("metadata") or {}, "annotations"))
    for holder, others, field in holders:
        there, known = holder.get(field) or {}, others.get(field) or {}
        for key in there if field != "annotations" else {_LAST_APPLIED} & there.keys():
            there[key] = "***" if key in known and known[key] == there[key] else f"*** ({side})"
    return obj


def _yaml(obj: Object, other: Object | None, side: str) -> list[str]:
    bare = hidden(stripped(obj), side, other)
    return yaml.safe_dump(bare, sort_keys=True, allow_unicode=True, width=1000).splitlines()


def _short(value: Any) -> str:
    text = value if value == ABSENT else yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
    text = str(text).removesuffix("\n...")
    return text if len(text) <= 80 else f"{text[:77]}..."
