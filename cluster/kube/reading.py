"""Readers of objects that nothing has validated yet: a value of the wrong type reads as if it were absent."""

from __future__ import annotations

from typing import Any

from cluster.kube.manifest import Object


def mapping(value: Any) -> Object:
    """Returns ``value`` where it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def at(obj: Any, *path: str) -> Any:
    """Returns the value at the path, ``None`` where the path ends earlier."""
    for name in path:
        obj = mapping(obj).get(name)
    return obj


def objects(value: Any) -> list[Object]:
    """Returns the list's entries; an entry that is no object becomes an empty one, so that indices hold."""
    return [mapping(entry) for entry in value] if isinstance(value, list) else []


def number(value: Any) -> int | None:
    """Returns ``value`` where it is an integer."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(value: Any) -> str:
    """Returns ``value`` where it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def cluster_spec(obj: Object) -> Object:
    """Returns the RayCluster specification that an object of one of Ray's kinds holds; empty where it holds none."""
    match obj["kind"]:
        case "RayCluster":
            return mapping(obj.get("spec"))
        case "RayService":
            return mapping(at(obj, "spec", "rayClusterConfig"))
        case "RayJob":
            return mapping(at(obj, "spec", "rayClusterSpec"))
        case "RayCronJob":
            return mapping(at(obj, "spec", "jobTemplate", "rayClusterSpec"))
    return {}
