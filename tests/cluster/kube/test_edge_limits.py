"""An edge limit below the gateway's deadline is refused, whoever set which of the two."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.kube.edge_limits import check_edge_limits
from cluster.kube.errors import UsageError
from cluster.kube.render import render


def route(limit: str, path: str = "/v2") -> dict[str, Any]:
    rule = {
        "name": "predictions",
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "timeouts": {"request": limit},
    }
    return {"kind": "HTTPRoute", "metadata": {"name": "tidegate"}, "spec": {"rules": [rule]}}


def virtual_service(limit: str) -> dict[str, Any]:
    rule = {"name": "predictions", "match": [{"port": 8000, "uri": {"prefix": "/v2/"}}], "timeout": limit}
    return {"kind": "VirtualService", "metadata": {"name": "tidegate-serve"}, "spec": {"http": [rule]}}


def settings(deadline_s: str) -> dict[str, Any]:
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "tidegate-settings"},
        "data": {"TIDEGATE_ROUTING_DEADLINE_S": deadline_s},
    }


@pytest.mark.parametrize("limit", ["10s", "5001ms", "1m30s", "0s", "1h"])
def test_a_limit_above_the_deadline_or_none_is_accepted(limit: str) -> None:
    check_edge_limits([route(limit), virtual_service(limit)])


@pytest.mark.parametrize(
    ("objects", "sentence"),
    [
        ([route("5s")], "HTTPRoute tidegate, rule predictions: its time limit of 5 s"),
        ([virtual_service("500ms")], "VirtualService tidegate-serve, rule predictions: its time limit of 0.5 s"),
        ([settings("20"), route("10s")], "accepted is more than TIDEGATE_ROUTING_DEADLINE_S, which is 20 s"),
        ([route("soon")], "time limit 'soon': accepted is a duration such as 10s"),
    ],
)
def test_a_limit_below_the_deadline_is_refused(objects: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        check_edge_limits(objects)


def test_the_health_check_may_be_quicker_than_a_prediction() -> None:
    check_edge_limits([route("2s", "/-/healthz")])


def test_a_deadline_that_outgrows_the_edge_is_refused_when_it_is_set() -> None:
    with pytest.raises(UsageError, match="which is 30 s"):
        render("gateway-api", ["TIDEGATE_ROUTING_DEADLINE_S=30"])
    assert render("gateway-api", ["TIDEGATE_ROUTING_DEADLINE_S=9"])
