"""The doctor's checks against a server in memory: everything right first, then one thing wrong at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from cluster.kube.api import Kube
from cluster.kube.doctor import needs, report
from cluster.kube.doctor.checks import examine
from cluster.kube.doctor.report import Check, Level
from cluster.kube.errors import (
    Cause,
    FieldConflictError,
    InvalidError,
    KubeError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnreachableError,
)
from cluster.kube.manifest import Object, key_of
from cluster.kube.render import render
from cluster.kube.snapshot import EVENTS
from cluster.kube.verbs.status import NEEDED, WHERE_THERE
from tests.cluster.kube.doctor.fake_server import FakeServer
from tests.cluster.kube.doctor.platform import NAMESPACE, obj, operator, rendered, storage_class

KEYS = {
    "tidegate-redis": ["password"],
    "tidegate-gateway": ["admin-key-hash"],
    "tidegate-ray-auth": ["auth_token"],
    "tidegate-mlflow-store": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
}
OPERATOR = "KubeRay operator"
Change = Callable[[FakeServer], object]


def ready() -> FakeServer:
    """A server where everything is as the rendered objects need it."""
    secrets = [obj("v1", "Secret", name, data=dict.fromkeys(keys, "aHVudGVyMg==")) for name, keys in KEYS.items()]
    return FakeServer([rendered()[0], operator(), storage_class("fast", default=True), *secrets])


def examined(server: FakeServer, objects: list[Object] | None = None) -> list[Check]:
    return examine(cast(Kube, server), rendered() if objects is None else objects, NAMESPACE)


def without(kind: str, name: str = "") -> Change:
    """Removes the objects of a kind, or one of them by name."""
    return lambda server: setattr(
        server,
        "objects",
        [each for each in server.objects if each["kind"] != kind or (name and each["metadata"]["name"] != name)],
    )


def with_operator(*arguments: str, **more: Any) -> Change:
    def change(server: FakeServer) -> None:
        without("Deployment")(server)
        server.objects.append(operator(*arguments, **more))

    return change


def with_secret(name: str, *keys: str) -> Change:
    def change(server: FakeServer) -> None:
        without("Secret", name)(server)
        server.objects.append(obj("v1", "Secret", name, data=dict.fromkeys(keys, "")))

    return change


def with_classes(*classes: Object) -> Change:
    def change(server: FakeServer) -> None:
        without("StorageClass")(server)
        server.objects += classes

    return change


def where(**fields: Any) -> Change:
    return lambda server: vars(server).update(fields)


def conflict() -> FieldConflictError:
    cause = Cause("FieldManagerConflict", ".spec.x", 'conflict with "helm" using v1')
    return FieldConflictError("conflict", status=409, causes=(cause,))


IMAGE = "kuberay/operator:v1.7.0"
CASES: list[tuple[str, Level, str, Change]] = [
    ("API server", "problem", "v1.29.9", where(version="v1.29.9")),  # lifecycle.preStop.sleep is alpha there
    ("API server", "ok", "v1.30.0-gke.100", where(version="v1.30.0-gke.100")),
    ("API server", "unknown", "dev", where(version="dev")),
    ("permissions", "problem", "create, patch, delete deployments.apps", where(denied={"deployments"})),
    ("permissions", "problem", "get pods/log in namespace tidegate", where(denied={"pods"})),
    ("kinds", "problem", "no NetworkPolicy of networking.k8s.io/v1", where(unknown_kinds={"NetworkPolicy"})),
    (OPERATOR, "ok", "version 1.7, 1 ready", where()),
    (OPERATOR, "problem", "no Deployment", without("Deployment")),
    (OPERATOR, "unknown", "is forbidden", where(forbidden={"Deployment everywhere", "Deployment"})),
    (OPERATOR, "ok", "version 1.7", where(forbidden={"Deployment everywhere"})),
    (OPERATOR, "problem", "1.6.1", with_operator("kuberay-operator", "o/kuberay:v1.6.1")),
    (OPERATOR, "ok", "version 1.10", with_operator("kuberay-operator", "host:5000/o/kuberay:v1.10.0")),
    (OPERATOR, "unknown", "no version", with_operator("kuberay-operator", "host:5000/o/kuberay@sha256:ab")),
    (OPERATOR, "problem", "0 ready", with_operator(ready=0)),
    (OPERATOR, "problem", "does not watch", with_operator("kuberay-operator", IMAGE, "--watch-namespace", "a,b")),
    (OPERATOR, "ok", "1 ready", with_operator("kuberay-operator", IMAGE, "--watch-namespace=a,tidegate")),
    (OPERATOR, "ok", "1 ready", with_operator("kuberay-operator", IMAGE, "--watch-namespace=", "--verbose")),
    (OPERATOR, "problem", "reach the dashboard", with_operator("ray-system")),
    ("secrets", "ok", "tidegate-redis: password", where()),
    ("secrets", "problem", "tidegate-redis is not there", without("Secret", "tidegate-redis")),
    ("secrets", "problem", "has no key password", with_secret("tidegate-redis", "pass")),
    ("secrets", "unknown", "Secret is forbidden", where(forbidden={"Secret"})),
    ("storage", "ok", "claim data of tidegate-redis: class fast", where()),
    ("storage", "ok", "claim tidegate-shared: class fast, the default", where()),
    ("storage", "unknown", "StorageClass is forbidden", where(forbidden={"StorageClass"})),
    ("storage", "problem", "no class fast; ", with_classes(storage_class("slow", default=True))),
    ("storage", "problem", "no class is the default", with_classes(storage_class("fast"))),
    ("dry run", "problem", "no field x", where(errors={"tidegate-redis": InvalidError("no field x", status=422)})),
    ("dry run", "problem", "quota", where(errors={"tidegate-redis": PermissionDeniedError("quota", status=403)})),
    ("dry run", "warning", "'helm' owns .spec.x", where(errors={"tidegate-redis": conflict()})),
    ("dry run", "unknown", "is not there yet, so 6 objects", without("Namespace")),
]


@pytest.mark.parametrize(("subject", "level", "finds", "change"), CASES, ids=[f"{c[0]}-{c[1]}-{c[2]}" for c in CASES])
def test_one_change_of_a_ready_cluster(subject: str, level: Level, finds: str, change: Change) -> None:
    server = ready()
    change(server)
    checks = examined(server)
    lines = [f"{check.found}; {check.advice}" for check in checks if (check.subject, check.level) == (subject, level)]
    assert any(finds in line for line in lines), checks
    assert all(check.advice for check in checks if check.level != "ok")
    if level != "ok":
        assert report.exit_code(checks) == (level == "problem")


def test_a_ready_cluster_is_all_ok_and_is_left_as_it_was() -> None:
    server = ready()
    checks = examined(server)
    assert {check.level for check in checks} == {"ok"}
    assert server.sent == [("dry run", key_of(entry)) for entry in rendered()]
    assert "aHVudGVyMg" not in report.as_text(checks) + report.as_json("base", NAMESPACE, checks)


def test_a_review_names_verb_group_subresource_and_namespace_as_kubernetes_does() -> None:
    """The first as it was recorded (07_authz), one of a subresource, one of the whole cluster."""
    server = ready()
    examined(server)
    reviewed = [review["spec"]["resourceAttributes"] for review in server.reviews]
    assert {"namespace": NAMESPACE, "group": "ray.io", "resource": "rayclusters", "verb": "list"} in reviewed
    assert {"namespace": NAMESPACE, "group": "", "resource": "pods", "subresource": "log", "verb": "get"} in reviewed
    assert {"group": "", "resource": "namespaces", "verb": "create"} in reviewed


def test_a_namespace_that_nothing_makes_is_a_problem() -> None:
    server = ready()
    without("Namespace")(server)
    checks = examined(server, rendered()[1:])
    assert server.sent == []
    assert [check.level for check in checks if check.subject == "dry run"] == ["problem"]


def test_manifests_without_a_namespace_are_checked_where_an_apply_would_put_them() -> None:
    server = ready()
    settings: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    examined(server, [settings])
    assert [str(key) for _, key in server.sent] == [f"ConfigMap {NAMESPACE}/settings"]


def test_an_error_that_nothing_reports_is_a_warning() -> None:
    job = obj("ray.io/v1", "RayJob", "train", spec={"submissionMode": "Http", "entrypoint": "x"})
    cron = obj("ray.io/v1", "RayCronJob", "nightly", spec={"jobTemplate": {"submissionMode": "HTTPMode"}})
    warned = [check.found for check in examined(ready(), [job, cron]) if check.level == "warning"]
    assert len(warned) == 2
    assert "RayJob tidegate/train: spec.submissionMode is 'Http'" in warned[0]
    assert "HTTPMode" in warned[0]
    assert "feature gate RayCronJob" in warned[1]


@pytest.mark.parametrize("error", [UnreachableError("no server"), UnauthenticatedError("Unauthorized", status=401)])
def test_without_an_answer_the_server_is_the_one_problem(error: KubeError) -> None:
    server = ready()
    server.errors["version"] = error
    (check,) = examined(server)
    assert (check.subject, check.level, check.found) == ("API server", "problem", str(error))
    assert check.advice


@pytest.mark.parametrize(
    ("selector", "level"),
    [
        ({"matchLabels": {"kubernetes.io/metadata.name": "ray-system"}}, "ok"),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["ml"]}]}, "ok"),
        ({}, "ok"),
        ({"matchLabels": {"kubernetes.io/metadata.name": "ray-systems"}}, "problem"),
    ],
)
def test_the_operators_namespace_against_our_network_policy(selector: Object, level: Level) -> None:
    objects = rendered()
    policy = next(entry for entry in objects if entry["kind"] == "NetworkPolicy")
    policy["spec"]["ingress"][0]["from"] = [{"namespaceSelector": selector}]
    server = ready()
    with_operator("ray-system")(server)
    levels = {check.level for check in examined(server, objects) if check.subject == OPERATOR}
    assert levels == {"ok", level}


def test_the_rights_are_those_of_the_rendered_kinds() -> None:
    found = {str(right) for right in needs.rights_of(rendered(), NAMESPACE)}
    assert {
        "patch rayservices.ray.io in namespace tidegate",
        "create namespaces in the whole cluster",
        "delete networkpolicies.networking.k8s.io in namespace tidegate",
    } <= found
    assert not any("secrets" in right or "delete pods" in right for right in found)


def test_the_rights_are_enough_for_the_verbs_that_render_nothing() -> None:
    found = {str(right) for right in needs.rights_of([], NAMESPACE)}
    everywhere = [each for each in (*NEEDED, *WHERE_THERE) if "k8s.io/" not in each[0] or each == EVENTS]
    assert len(everywhere) == 12
    for api_version, kind in everywhere:
        group = api_version.rpartition("/")[0]
        for verb in ("list", "watch"):
            assert str(needs.Right(verb, group, needs.resource_of(kind), NAMESPACE)) in found
    assert "patch rayclusters.ray.io in namespace tidegate" in found  # scale
    assert "create rayjobs.ray.io in namespace tidegate" in found  # train


@pytest.mark.parametrize(
    ("kind", "resource"),
    [("NetworkPolicy", "networkpolicies"), ("StorageClass", "storageclasses"), ("HTTPRoute", "httproutes")],
)
def test_plurals(kind: str, resource: str) -> None:
    assert needs.resource_of(kind) == resource


def test_secrets_are_found_wherever_they_are_named() -> None:
    assert needs.secrets_of(rendered()) == {
        "tidegate-gateway": frozenset({"admin-key-hash"}),
        "tidegate-mlflow-store": frozenset(),
        "tidegate-ray-auth": frozenset({"auth_token"}),
        "tidegate-redis": frozenset({"password"}),
    }
    pulling = {"template": {"spec": {"imagePullSecrets": [{"name": "registry"}]}}}
    assert needs.secrets_of([obj("apps/v1", "Deployment", "x", spec=pulling)]) == {"registry": frozenset()}
    assert "tidegate-redis" not in needs.secrets_of([*rendered(), obj("v1", "Secret", "tidegate-redis")])


def test_a_gateways_certificate_is_a_secret() -> None:
    (gateway,) = (each for each in render("gateway-api") if each["kind"] == "Gateway")
    assert needs.secrets_of([gateway]) == {"tidegate-tls": frozenset({"tls.crt", "tls.key"})}
    (found,) = (check for check in examined(ready(), [gateway]) if check.subject == "secrets")
    assert (found.level, found.found) == ("problem", "tidegate-tls is not there")
    assert found.advice == f"kubectl -n {NAMESPACE} create secret tls tidegate-tls --cert=FILE --key=FILE"
    others = [{"name": "a", "kind": "Vault"}, {"name": "b", "group": "x"}, {"name": "c", "namespace": "d"}]
    assert needs.secrets_of([{**gateway, "spec": {"listeners": [{"tls": {"certificateRefs": others}}]}}]) == {}


def test_the_report() -> None:
    checks = [Check("nodes", "ok", "two"), Check("permissions", "problem", "a\nb", "do c")]
    assert report.as_text(checks).splitlines() == [
        "ok       nodes        two",
        "problem  permissions  a",
        "                      b",
        "                      → do c",
        "",
        "1 ok, 1 problem",
    ]
    assert report.exit_code(checks) == 1
    written = json.loads(report.as_json("gpu", NAMESPACE, checks))
    assert written["counts"] == {"ok": 1, "unknown": 0, "warning": 0, "problem": 1}
    assert written["checks"][1] == {"subject": "permissions", "level": "problem", "found": "a\nb", "advice": "do c"}
