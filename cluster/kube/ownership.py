"""Owners of an object's fields, from a conflict's causes and from ``metadata.managedFields``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cluster.kube.errors import Cause, FieldConflictError
from cluster.kube.manifest import Object

AUTOSCALER = "python-requests"
"""Ray's autoscaler names no field manager, so the server takes its User-Agent up to the slash."""
GROUPS = ".spec.workerGroupSpecs"

_SELECTOR = re.compile(r"\[([^\]]*)\]")
_PAIR = re.compile(r'(\w+)="?([^",]*)"?')
_MANAGER = re.compile(r'conflict with "(?P<manager>[^"]*)"(?: with subresource "(?P<subresource>[^"]*)")?')


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that ``manager`` owns with another value than ours; ``field`` as the server writes it: ``.spec.x``."""

    manager: str
    field: str


def conflicts(error: FieldConflictError) -> list[Conflict]:
    """Returns the fields that prevented an apply, one entry per field."""
    return [_conflict(cause) for cause in error.causes if cause.reason == "FieldManagerConflict"]


def only_replica_writers(found: list[Conflict], live: Object, ours: str) -> bool:
    """True where the conflict is about worker groups alone, written by the autoscaler or by a JSON patch of ours.

    Both write a group's ``replicas`` and ``scaleStrategy`` and nothing else, but an atomic list has one owner, so
    that this conflicts with every other field of every group. A patch of ours counts as another owner than our apply.
    """
    writers = {ours} | ({AUTOSCALER} if live["spec"].get("enableInTreeAutoscaling") else set())
    return bool(found) and all(conflict.field == GROUPS and conflict.manager in writers for conflict in found)


def owns(obj: Object, manager: str, *path: str) -> bool:
    """True where the manager's apply owns the field ``path``, e.g. ``("spec", "replicas")``."""
    for entry in obj["metadata"].get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            fields = entry.get("fieldsV1") or {}
            for name in path:
                fields = fields.get(f"f:{name}")
                if fields is None:
                    break
            else:
                return True
    return False


def value_at(obj: Any, field: str) -> Any:
    """Returns the value at a field as causes write it (``.spec.containers[name="x"].image``), else ``None``.

    A key may have dots in it (annotations): the longest one that is there is meant.
    """
    if not field:
        return obj
    selector = _SELECTOR.match(field)
    if selector is not None and isinstance(obj, list):
        pairs = dict(_PAIR.findall(selector[1]))
        entries = [entry for entry in obj if all(str(entry.get(name)) == value for name, value in pairs.items())]
        return value_at(entries[0], field[selector.end() :]) if pairs and entries else None
    if not field.startswith(".") or not isinstance(obj, dict):
        return None
    rest = field[1:]
    keys = [key for key in obj if rest == key or rest.startswith((f"{key}.", f"{key}["))]
    if not keys:
        return None
    key = max(keys, key=len)
    return value_at(obj[key], rest[len(key) :])


def _conflict(cause: Cause) -> Conflict:
    found = _MANAGER.match(cause.message)
    return Conflict(found["manager"] if found else cause.message, cause.field)
