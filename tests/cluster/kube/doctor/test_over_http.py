"""The doctor over HTTP, with an account that has few rights: a refusal is a problem, a hidden answer is unknown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.kube.doctor.checks import examine
from cluster.kube.doctor.needs import rights_of
from cluster.kube.manifest import Object
from cluster.kube.verbs import doctor
from tests.cluster.kube.conftest import RAY, Serve, resources, tidegate_kube
from tests.support.fake_api_server import Exchange, composed, moved, recorded

NAMESPACE = "team-a"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
READING = ("get", "list", "watch")
RESOURCES = [
    resources(
        "v1",
        ("Namespace", "namespaces", False),
    ),
    resources("authorization.k8s.io/v1", ("SelfSubjectAccessReview", "selfsubjectaccessreviews", False)),
]


def cluster() -> Object:
    found: Object = recorded("03_ssa_conflicts", "a dry run shows the same conflict").request.body
    return found


def forbidden(path: str) -> Exchange:
    """A refusal like that of the nodes, which is recorded."""
    node = recorded("07_authz", "cluster-scoped kind: 403")
    return composed("only the nodes are recorded", "GET", path, node.body, status=403)


def reviews() -> list[Exchange]:
    """The recorded reviews of RayClusters, and others in their shape: this account may read RayClusters."""
    query = (("fieldManager", "rayplat"),)
    found = [moved(recorded("07_authz", f"may I {verb} rayclusters?"), query=query) for verb in ("list", "create")]
    known = [exchange.request.body["spec"]["resourceAttributes"] for exchange in found]
    for right in rights_of([cluster()], NAMESPACE):
        resource, _, sub = right.resource.partition("/")
        attributes = {"verb": right.verb, "group": right.group, "resource": resource, "namespace": right.namespace}
        attributes |= {"subresource": sub} if sub else {}
        if attributes in known:
            continue
        body: Object = found[0].request.body | {"spec": {"resourceAttributes": attributes}}
        answer = body | {"status": {"allowed": resource == "rayclusters" and right.verb in READING}}
        path = f"{REVIEWS}?fieldManager=rayplat"
        found.append(
            composed("other resources", "POST", path, answer, status=201, sent=body, content_type="application/json")
        )
    return found


def exchanges() -> list[Exchange]:
    deployments = "/apis/apps/v1/{}deployments"
    live = f"{RAY}/namespaces/{NAMESPACE}/rayclusters/demo"
    named = [f"namespaces/{place}/" for place in ("kuberay-operator", "default", "ray-system", NAMESPACE)]
    return [
        *RESOURCES,
        recorded("01_discovery", "server version"),
        moved(recorded("09_delete", "delete again: 404"), method="GET", path=live),
        recorded("03_ssa_conflicts", "a dry run shows the same conflict"),
        forbidden(f"/api/v1/namespaces/{NAMESPACE}"),
        forbidden(deployments.format("") + "?labelSelector=app.kubernetes.io/name%3Dkuberay-operator"),
        *(forbidden(deployments.format(place) + "/kuberay-operator") for place in named),
        *reviews(),
    ]


def test_someone_who_may_only_look_at_ray_clusters(serve: Serve) -> None:
    checks = examine(serve(*exchanges()).kube, [cluster()], NAMESPACE)
    found = {(check.subject, check.level): check.found for check in checks}
    assert found["API server", "ok"].startswith("v1.36.2 at http://127.0.0.1:")
    refused = [check.found for check in checks if (check.subject, check.level) == ("permissions", "problem")]
    assert {
        "not allowed: get, list, watch events in namespace team-a",
        "not allowed: get, list, watch pods in namespace team-a",
        "not allowed: get pods/log in namespace team-a",
        "not allowed: create, patch, delete rayclusters.ray.io in namespace team-a",
    } <= set(refused)
    assert len(refused) == len({(right.group, right.resource) for right in rights_of([cluster()], NAMESPACE)})
    assert "workerGroupSpecs" in found["dry run", "warning"]
    unknown = {subject for subject, level in found if level == "unknown"}
    assert unknown == {"KubeRay operator"}


def test_the_verb(serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its rendering and its connection have tests of their own."""
    served = serve(*exchanges())
    asked: dict[str, Any] = {}

    def render(overlay: str, sets: list[str], namespace: str | None) -> list[Object]:
        asked.update(overlay=overlay, sets=sets, namespace=namespace)
        return [cluster()]

    monkeypatch.setattr(doctor, "render", render)
    monkeypatch.setattr(doctor, "connect", lambda kubeconfig, context: served.kube)
    assert tidegate_kube("doctor", "gpu+ha", "--json", "--set", "X=1", "-n", "team-a") == 1
    assert asked == {"overlay": "gpu+ha", "sets": ["X=1"], "namespace": "team-a"}
    report = json.loads(capsys.readouterr().out)
    assert report["namespace"] == "team-a"
    assert {check["subject"] for check in report["checks"] if check["level"] == "problem"} == {"permissions"}
    assert tidegate_kube("doctor") == 1
    assert asked["overlay"] == "base"
    assert "4 problem" in capsys.readouterr().out
