"""Authorization between parts in the mesh: a table of connections, decided as Istio decides them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support.components import CLUSTER, of

HEAD = {"ray.io/is-ray-node": "yes", "ray.io/node-type": "head", "app.kubernetes.io/component": "ray"}
WORKER = HEAD | {"ray.io/node-type": "worker"}
REDIS = {"app.kubernetes.io/part-of": "tidegate", "app.kubernetes.io/component": "redis"}
MLFLOW = REDIS | {"app.kubernetes.io/component": "mlflow"}
EDGE = {"gateway.networking.k8s.io/gateway-name": "tidegate"}
OTHER = {"app": "other"}


def account(name: str, namespace: str = "tidegate") -> str:
    return f"cluster.local/ns/{namespace}/sa/{name}"


RAY_HEAD, RAY_WORKER = account("tidegate-ray-head"), account("tidegate-ray-worker")
INGRESS = account("tidegate-istio")
OPERATOR = account("kuberay-operator", "kuberay-operator")
STRANGER = account("default", "elsewhere")
NOBODY = None  # without mTLS


def selects(obj: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted: dict[str, str] = obj["spec"].get("selector", {}).get("matchLabels", {})
    return wanted.items() <= labels.items()


def permitted(labels: dict[str, str], port: int, principal: str | None) -> bool:
    """Istio's decision about one connection to a pod.

    mTLS as the PeerAuthentication with the narrowest selector says; a Gateway's listeners have their own TLS. Then
    any ALLOW policy of the pod's with a rule for it; a pod without a policy takes everything.
    """
    peers = sorted(
        (each for each in of("mesh", "PeerAuthentication") if selects(each, labels)),
        key=lambda each: "selector" in each["spec"],
    )
    mtls = peers[-1]["spec"]
    mode = mtls.get("portLevelMtls", {}).get(str(port), mtls["mtls"])["mode"]
    if mode == "STRICT" and principal is None and labels is not EDGE:
        return False
    policies = [each for each in of("mesh", "AuthorizationPolicy") if selects(each, labels)]
    assert all(each["spec"].get("action", "ALLOW") == "ALLOW" for each in policies)
    return not policies or any(
        _holds(rule, port, principal) for policy in policies for rule in policy["spec"].get("rules", [])
    )


def _holds(rule: dict[str, Any], port: int, principal: str | None) -> bool:
    froms = [each["source"]["principals"] for each in rule.get("from", [])]
    tos = [each["operation"]["ports"] for each in rule.get("to", [])]
    return (not froms or any(principal in each for each in froms)) and (
        not tos or any(str(port) in each for each in tos)
    )


@pytest.mark.parametrize(
    ("labels", "port", "principal", "answer"),
    [
        pytest.param(WORKER, 8000, INGRESS, True, id="the edge asks the gateway"),
        pytest.param(WORKER, 8081, INGRESS, True, id="and by gRPC"),
        pytest.param(HEAD, 8265, INGRESS, False, id="but never the dashboard"),
        pytest.param(HEAD, 6379, INGRESS, False, id="nor the GCS"),
        pytest.param(WORKER, 8000, STRANGER, False, id="a stranger does not get past the edge"),
        pytest.param(WORKER, 8000, NOBODY, False, id="nor anybody without an identity"),
        pytest.param(HEAD, 6379, RAY_WORKER, True, id="workers find the GCS"),
        pytest.param(HEAD, 8265, RAY_WORKER, True, id="jobs ask the dashboard"),
        pytest.param(WORKER, 10002, RAY_HEAD, True, id="the head reaches workers"),
        pytest.param(HEAD, 6379, NOBODY, False, id="not without mTLS"),
        pytest.param(HEAD, 8265, OPERATOR, True, id="the operator declares applications"),
        pytest.param(WORKER, 8000, OPERATOR, False, id="and asks no predictions"),
        pytest.param(HEAD, 6379, OPERATOR, False, id="nor the GCS"),
        pytest.param(HEAD, 8265, account("kuberay-operator", "elsewhere"), False, id="one that only has its name"),
        pytest.param(HEAD, 8265, account("default"), True, id="a submitter reaches the Jobs API"),
        pytest.param(HEAD, 10001, account("default"), False, id="and not Ray Client"),
        pytest.param(WORKER, 8080, NOBODY, True, id="metrics are scraped in the clear"),
        pytest.param(HEAD, 44217, NOBODY, True, id="the autoscaler's as well"),
        pytest.param(WORKER, 9101, NOBODY, True, id="and HAProxy's"),
        pytest.param(REDIS, 6379, RAY_WORKER, True, id="gateway replicas use Redis"),
        pytest.param(REDIS, 6379, RAY_HEAD, True, id="so does the GCS"),
        pytest.param(REDIS, 6379, account("tidegate-mlflow"), False, id="MLflow has no business there"),
        pytest.param(REDIS, 6379, NOBODY, False, id="nor a client without a certificate"),
        pytest.param(REDIS, 8080, RAY_WORKER, False, id="and Redis has one port"),
        pytest.param(MLFLOW, 5000, RAY_WORKER, True, id="replicas load models"),
        pytest.param(MLFLOW, 5000, INGRESS, False, id="the world does not see MLflow"),
        pytest.param(EDGE, 443, NOBODY, True, id="the edge is open to the world"),
        pytest.param(EDGE, 15000, NOBODY, False, id="by its doors only"),
        pytest.param(OTHER, 80, RAY_HEAD, False, id="an unforeseen connection is refused"),
    ],
)
def test_connection_is_allowed(labels: dict[str, str], port: int, principal: str | None, answer: bool) -> None:
    assert permitted(labels, port, principal) is answer


def redirected() -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load((CLUSTER / "components/mesh/pods/ray-ports.yaml").read_text())[
        "annotations"
    ]
    return found


def ports(direction: str) -> set[str]:
    return set(redirected()[f"traffic.sidecar.istio.io/include{direction}Ports"].split(","))


def test_what_a_policy_is_about_goes_through_the_sidecar() -> None:
    """Elsewhere a policy would be words: the sidecar sees only the ports that it is given."""
    named = {
        port
        for policy in of("mesh", "AuthorizationPolicy")
        if "ray.io/" in str(policy["spec"].get("selector"))
        for rule in policy["spec"]["rules"]
        for to in rule.get("to", [])
        for port in to["operation"]["ports"]
    }
    plain = set(of("mesh", "PeerAuthentication", "tidegate-ray-metrics")[0]["spec"]["portLevelMtls"])
    assert named <= ports("Inbound")
    assert plain <= ports("Inbound")


def test_what_is_strict_at_one_end_leaves_through_the_sidecar_at_the_other() -> None:
    """A connection that one sidecar expects mTLS on must have passed the other's: what Ray pods ask of each other, of
    Redis (6379) and of MLflow (5000)."""
    plain = set(of("mesh", "PeerAuthentication", "tidegate-ray-metrics")[0]["spec"]["portLevelMtls"])
    assert ports("Inbound") - plain <= ports("Outbound")
    assert {"6379", "5000"} <= ports("Outbound")
    assert redirected()["traffic.sidecar.istio.io/includeOutboundIPRanges"] == ""


def test_an_edge_that_is_open_is_open_where_the_gateway_listens() -> None:
    allowed = of("mesh", "AuthorizationPolicy", "tidegate-edge")[0]["spec"]["rules"][0]["to"][0]["operation"]["ports"]
    listeners = {str(each["port"]) for each in of("gateway-api", "Gateway")[0]["spec"]["listeners"]}
    assert set(allowed) == listeners


def test_a_client_of_another_namespace_is_told_the_line_that_lets_it_in() -> None:
    line = f"`- {account('ACCOUNT', 'NAMESPACE')}`"
    assert line in (CLUSTER / "components/mesh/authorization.yaml").read_text()
    text = (CLUSTER / "README.md").read_text().partition("## Who gets in")[2].partition("\n## ")[0]
    assert line in text
