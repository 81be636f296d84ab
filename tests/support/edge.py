"""The routes of the edge (Gateway API) and of the mesh (Istio) in the manifests, checked against fronts."""

from __future__ import annotations

from typing import Any

from app.gateway.front import Front
from tests.support.components import of

Rule = dict[str, Any]
EDGE_ROUTE = "tidegate"
"""The HTTPRoute of the listener with TLS."""


def edge_rule(route: str, path: str) -> Rule | None:
    """The rule that takes a path: an exact match before the longest prefix (Gateway API, HTTPRouteRule)."""
    best: tuple[tuple[bool, int], Rule] | None = None
    for rule in of("gateway-api", "HTTPRoute", route)[0]["spec"]["rules"]:
        for match in rule.get("matches", [{"path": {"type": "PathPrefix", "value": "/"}}]):
            kind, value = match["path"]["type"], match["path"]["value"]
            exact = kind == "Exact"
            holds = path == value if exact else (path + "/").startswith(value.rstrip("/") + "/")
            rank = (exact, len(value))
            if holds and (best is None or rank > best[0]):
                best = rank, rule
    return best[1] if best else None


def mesh_rule(path: str) -> Rule | None:
    """The first rule that takes a path on port 8000: a VirtualService goes by order."""
    rule: Rule
    for rule in of("mesh", "VirtualService")[0]["spec"]["http"]:
        for match in rule["match"]:
            uri = match.get("uri", {"prefix": "/"})
            if match["port"] == 8000 and (path == uri.get("exact") or path.startswith(uri.get("prefix", "\0"))):
                return rule
    return None


def edge_paths() -> set[str]:
    """The paths that the edge routes by name, health aside."""
    rules = of("gateway-api", "HTTPRoute", EDGE_ROUTE)[0]["spec"]["rules"]
    return {match["path"]["value"] for rule in rules if rule["name"] != "health" for match in rule["matches"]}


def front_errors(front: Front, deadline_s: float) -> list[str]:
    """Sentences on what the manifests lack for a front.

    Args:
        deadline_s: the gateway's own deadline, seconds.
    """
    found: list[str] = []
    for public in front.public_paths:
        path = public.path if public.exact else f"{public.path}/x"
        edge, mesh = edge_rule(EDGE_ROUTE, path), mesh_rule(path)
        if edge is None:
            found.append(f"gateway-api: no rule routes {public.path} of {front.name}")
            continue
        for where, rule, limit in (
            ("gateway-api", edge, edge.get("timeouts", {}).get("request", "0s")),
            ("mesh", mesh, (mesh or {}).get("timeout", "0s")),
        ):
            assert rule is not None, f"{where}: no rule takes {path}"
            limit_s = float(limit.removesuffix("s"))
            cut = f"{where}: rule {rule['name']} cuts {public.path} off after {limit_s:g} s; accepted is"
            if limit_s and not front.has_deadline:
                found.append(f"{cut} no limit")
            elif not limit_s and front.has_deadline:
                found.append(f"{where}: rule {rule['name']} has no time limit for {public.path}")
            elif limit_s and limit_s <= deadline_s:
                found.append(f"{cut} more than the deadline of {deadline_s:g} s")
    return found
