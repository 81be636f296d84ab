"""Time limits of the edge and the mesh in rendered objects, compared with the gateway's deadline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import durationpy

from app.gateway.time_limits import DEADLINE_SETTING, edge_limit_error
from app.settings import RoutingSettings
from cluster.kube.errors import UsageError
from cluster.kube.manifest import Object

_HEALTH = "/-/healthz"


def check_edge_limits(objects: Sequence[Object]) -> None:
    """Refuses a time limit under which the gateway's own 504, which says what happened, would come too late.

    Raises:
        UsageError: of each rule that is too short, a sentence.
    """
    deadline_s = next(
        (
            float(obj["data"][DEADLINE_SETTING])
            for obj in objects
            if obj.get("kind") == "ConfigMap" and DEADLINE_SETTING in (obj.get("data") or {})
        ),
        RoutingSettings().deadline_s,
    )
    found = [
        sentence
        for where, seconds in _limits(objects)
        if (sentence := edge_limit_error(where, seconds, deadline_s)) is not None
    ]
    if found:
        raise UsageError("\n".join(found))


def _limits(objects: Sequence[Object]) -> Iterator[tuple[str, float]]:
    for obj in objects:
        kind, spec = obj.get("kind"), obj.get("spec") or {}
        if kind == "HTTPRoute":
            rules = [(rule, rule.get("timeouts", {}).get("request")) for rule in spec.get("rules", [])]
        elif kind == "VirtualService":
            rules = [(rule, rule.get("timeout")) for rule in spec.get("http", [])]
        else:
            continue
        for rule, limit in rules:
            if limit is not None and not _is_health(rule):
                yield f"{kind} {obj['metadata']['name']}, rule {rule.get('name', '?')}", _seconds(str(limit))


def _is_health(rule: dict[str, Any]) -> bool:
    paths = [
        match.get("path", {}).get("value") or match.get("uri", {}).get("exact")
        for match in rule.get("matches", rule.get("match", []))
    ]
    return paths == [_HEALTH]


def _seconds(limit: str) -> float:
    """Returns the seconds of a duration of the Gateway API (GEP-2257) or of Istio, such as ``10s`` or ``1m30s``."""
    try:
        return float(durationpy.from_str(limit).total_seconds())
    except durationpy.DurationError:
        raise UsageError(f"time limit {limit!r}: accepted is a duration such as 10s, 1m30s or 500ms") from None
