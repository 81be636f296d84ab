"""The way in: what the routes let through, where it goes, and that the gateway's whole API is among it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.gateway.fronts import DOCUMENT_PATHS, FRONTS
from app.gateway.grpc.messages import SERVICE
from app.releases.model.names import PREFIX
from app.routing.route_table import Route, RouteTable
from app.settings import Settings
from tests.gateway.echo import Echo
from tests.gateway.support import api_over
from tests.releases.api.test_openapi import API as RELEASES
from tests.support.components import CLUSTER, of
from tests.support.edge import EDGE_ROUTE, edge_paths, edge_rule, mesh_rule

Rule = dict[str, Any]
GATEWAY = of("gateway-api", "Gateway")[0]
HTTP = "tidegate-redirect"
"""The HTTPRoute of the listener without TLS."""


def test_the_edge_routes_what_the_fronts_and_the_releases_declare_and_nothing_else() -> None:
    declared = {public.path for front in FRONTS for public in front.public_paths}
    assert edge_paths() == {*declared, *(public.path for public in DOCUMENT_PATHS), PREFIX}
    for path in edge_paths():
        rule = edge_rule(EDGE_ROUTE, path)
        assert rule is not None
        assert rule["backendRefs"] == [{"name": "tidegate-serve-svc", "port": 8000}]


@pytest.mark.parametrize(
    "path", ["/-/routes", "/-/healthz/x", "/-", "/v3", "/modelsx", "/api/serve/applications/", "/metrics"]
)
def test_what_no_front_declares_is_not_routed(path: str) -> None:
    assert edge_rule(EDGE_ROUTE, path) is None


@pytest.mark.parametrize("path", ["/", "/v2/models/flights/infer", "/-/routes", "/releases"])
def test_without_tls_there_is_a_redirect(path: str) -> None:
    rule = edge_rule(HTTP, path)
    assert rule is not None
    assert "backendRefs" not in rule
    assert rule["filters"][0]["requestRedirect"]["scheme"] == "https"


def test_without_tls_health_is_answered() -> None:
    rule = edge_rule(HTTP, "/-/healthz")
    assert rule is not None
    assert rule["backendRefs"] == [{"name": "tidegate-serve-svc", "port": 8000}]


def test_the_whole_api_is_routed() -> None:
    gateway = api_over(Settings(), RouteTable("echo", 1, "salt", routes=(Route("1", "echo-v1", 1.0),)), Echo)
    paths = {*gateway.openapi()["paths"], *RELEASES.openapi()["paths"], "/docs", "/openapi.json"}
    assert len(paths) > 20
    filled = {re.sub(r"{\w+}", "x", path) for path in paths}
    assert {path for path in filled if edge_rule(EDGE_ROUTE, path) is None} == set()


def test_a_release_is_followed_without_a_time_limit() -> None:
    rule, mesh = edge_rule(EDGE_ROUTE, f"{PREFIX}/x/events"), mesh_rule(f"{PREFIX}/x/events")
    assert rule is not None
    assert rule["timeouts"]["request"] == "0s"
    assert mesh is not None
    assert "timeout" not in mesh
    assert "timeout" not in next(
        rule for rule in of("mesh", "VirtualService")[0]["spec"]["http"] if rule["name"] == "grpc"
    )


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
    rules = [mesh_rule(path) or {} for path in ("/-/healthz", "/-/routes", "/v2/x", "/releases")]
    assert [rule["name"] for rule in rules] == [
        "health",
        "internals",
        "predictions",
        "rest",
    ]
    assert rules[1]["directResponse"] == {"status": 404}


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
