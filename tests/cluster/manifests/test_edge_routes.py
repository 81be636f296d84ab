"""The way in: what the routes let through, where it goes, and that the gateway's whole API is among it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.gateway.grpc.messages import SERVICE
from app.routing.route_table import Route, RouteTable
from app.settings import RoutingSettings, Settings
from tests.gateway.echo import Echo
from tests.gateway.support import api_over
from tests.releases.api.test_openapi import API as RELEASES
from tests.support.components import CLUSTER, of

Rule = dict[str, Any]
GATEWAY = of("gateway-api", "Gateway")[0]
HTTP, HTTPS = "tidegate-redirect", "tidegate"
"""The routes on the listeners without and with TLS."""


def matched(route: str, path: str) -> Rule | None:
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


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/", "predictions"),
        ("/v1/models/flights:predict", "predictions"),
        ("/v2", "predictions"),
        ("/v2/models/flights/infer", "predictions"),
        ("/models/flights/invocations", "predictions"),
        ("/feedback", "predictions"),
        ("/releases", "releases"),
        ("/releases/x/events", "releases"),
        ("/routes/flights", "releases"),
        ("/-/healthz", "health"),
        ("/-/routes", None),
        ("/-/healthz/x", None),
        ("/-", None),
        ("/v3", None),
        ("/modelsx", None),
        ("/api/serve/applications/", None),
        ("/metrics", None),
    ],
)
def test_path_is_routed_or_not(path: str, rule: str | None) -> None:
    found = matched(HTTPS, path)
    assert (found and found["name"]) == rule
    if found is not None:
        assert found["backendRefs"] == [{"name": "tidegate-serve-svc", "port": 8000}]


@pytest.mark.parametrize("path", ["/", "/v2/models/flights/infer", "/-/routes", "/releases"])
def test_without_tls_there_is_a_redirect(path: str) -> None:
    rule = matched(HTTP, path)
    assert rule is not None
    assert "backendRefs" not in rule
    assert rule["filters"][0]["requestRedirect"]["scheme"] == "https"


def test_without_tls_health_is_answered() -> None:
    rule = matched(HTTP, "/-/healthz")
    assert rule is not None
    assert rule["backendRefs"] == [{"name": "tidegate-serve-svc", "port": 8000}]


def test_the_whole_api_is_routed() -> None:
    gateway = api_over(Settings(), RouteTable("echo", 1, "salt", routes=(Route("1", "echo-v1", 1.0),)), Echo)
    paths = {*gateway.openapi()["paths"], *RELEASES.openapi()["paths"], "/docs", "/openapi.json"}
    assert len(paths) > 20
    filled = {re.sub(r"{\w+}", "x", path) for path in paths}
    assert {path for path in filled if matched(HTTPS, path) is None} == set()


def test_edge_time_limit_is_above_the_gateways_deadline() -> None:
    """Its own deadline is the shorter one; and what may last is not cut off."""
    limits = {
        rule["name"]: rule["timeouts"]["request"]
        for rule in of("gateway-api", "HTTPRoute", HTTPS)[0]["spec"]["rules"]
    }
    assert float(limits["predictions"].removesuffix("s")) > RoutingSettings().deadline_s
    assert limits["releases"] == "0s"
    mesh = {rule["name"]: rule for rule in of("mesh", "VirtualService")[0]["spec"]["http"]}
    assert mesh["predictions"]["timeout"] == limits["predictions"]
    assert "timeout" not in mesh["rest"]
    assert "timeout" not in mesh["grpc"]


def test_each_listener_has_the_routes_that_it_is_for() -> None:
    """An HTTPRoute and a GRPCRoute on one listener and host name exclude each other."""
    routes = of("gateway-api", "HTTPRoute") + of("gateway-api", "GRPCRoute")
    where = [(route["kind"], parent["sectionName"]) for route in routes for parent in route["spec"]["parentRefs"]]
    assert sorted(where) == [("GRPCRoute", "grpc"), ("HTTPRoute", "http"), ("HTTPRoute", "https")]
    assert {listener["name"] for listener in GATEWAY["spec"]["listeners"]} == {"http", "https", "grpc"}
    for listener in GATEWAY["spec"]["listeners"]:
        assert (listener["protocol"] == "HTTPS") == ("tls" in listener)


def test_grpc_reaches_inference_and_nothing_of_serve_s_own() -> None:
    rules = of("gateway-api", "GRPCRoute")[0]["spec"]["rules"]
    services = {match["method"]["service"] for rule in rules for match in rule["matches"]}
    assert SERVICE in services
    assert not any("serve" in service.lower() and "reflection" not in service.lower() for service in services)
    assert all(rule["backendRefs"] == [{"name": "tidegate-serve-svc", "port": 8081}] for rule in rules)


def test_edge_does_not_retry_requests_that_may_have_run() -> None:
    """Only what no replica has seen is repeated: the gateway has a retry budget of its own."""
    untouched = {"connect-failure", "refused-stream", "reset-before-request"}
    for rule in of("mesh", "VirtualService")[0]["spec"]["http"]:
        retries = rule.get("retries", {"attempts": 0})
        assert set(retries.get("retryOn", "connect-failure").split(",")) <= untouched, rule["name"]
        assert retries["attempts"] <= 2
    outliers = of("mesh", "DestinationRule")[0]["spec"]["trafficPolicy"]["outlierDetection"]
    assert outliers["consecutive5xxErrors"] == outliers["consecutiveGatewayErrors"] == 0


def test_in_the_mesh_serve_s_own_pages_are_closed_too() -> None:
    rules = of("mesh", "VirtualService")[0]["spec"]["http"]
    assert [first(rules, path)["name"] for path in ("/-/healthz", "/-/routes", "/v2/x", "/releases")] == [
        "health",
        "internals",
        "predictions",
        "rest",
    ]
    assert first(rules, "/-/routes")["directResponse"] == {"status": 404}


def first(rules: list[Rule], path: str) -> Rule:
    """The first rule that takes a path on port 8000: a VirtualService goes by order."""
    for rule in rules:
        for match in rule["match"]:
            uri = match.get("uri", {"prefix": "/"})
            if match["port"] == 8000 and (path == uri.get("exact") or path.startswith(uri.get("prefix", "\0"))):
                return rule
    raise AssertionError(f"nothing takes {path}")


def test_the_edge_scales_what_istio_makes_for_the_gateway() -> None:
    scaler = of("gateway-api", "HorizontalPodAutoscaler")[0]["spec"]
    assert scaler["scaleTargetRef"]["name"] == f"{GATEWAY['metadata']['name']}-{GATEWAY['spec']['gatewayClassName']}"
    assert scaler["minReplicas"] >= 2


def test_retries_are_only_for_callers_in_the_mesh() -> None:
    """A route of the Gateway API has no retries outside the experimental channel."""
    assert of("mesh", "VirtualService")[0]["spec"]["gateways"] == ["mesh"]
    routes = of("gateway-api", "HTTPRoute") + of("gateway-api", "GRPCRoute")
    assert not any("retry" in rule for route in routes for rule in route["spec"]["rules"])
    text = (CLUSTER / "README.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `mesh` |"))
    assert "retries for callers in the mesh" in row
