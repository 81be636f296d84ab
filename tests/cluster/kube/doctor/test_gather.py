"""What is asked of the server, what becomes of its refusals, and that nothing is changed."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.kube.doctor import examine, report
from cluster.kube.doctor.facts import DryRun, Unknown
from cluster.kube.doctor.gather import gather
from cluster.kube.errors import (
    ApiError,
    FieldConflictError,
    InvalidError,
    KubeError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnreachableError,
)
from cluster.kube.manifest import Key, Object, key_of
from tests.cluster.kube.doctor.fake_server import FakeServer
from tests.cluster.kube.doctor.platform import NAMESPACE, node, obj, operator, rendered, storage_class

DATA = {
    "tidegate-redis": ["password"],
    "tidegate-gateway": ["admin-key-hash"],
    "tidegate-ray-auth": ["auth_token"],
    "tidegate-mlflow-store": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
}


def secret(name: str, keys: list[str]) -> Object:
    return obj("v1", "Secret", name, data=dict.fromkeys(keys, "aHVudGVyMg=="))


def ready(**changes: Any) -> FakeServer:
    there = [
        rendered()[0],
        operator(),
        storage_class("fast", default=True),
        node(),
        *(secret(name, keys) for name, keys in DATA.items()),
        obj("ray.io/v1", "RayCluster", "shared"),
        obj("v1", "LimitRange", "elsewhere", "other", spec={"limits": [{"type": "Container", "max": {"cpu": "1m"}}]}),
    ]
    return FakeServer(there, **changes)


def key_named(name: str) -> Key:
    return next(
        key_of(entry) for entry in rendered() if entry["metadata"]["name"] == name and entry["kind"] != "Namespace"
    )


def test_a_ready_cluster_is_ok_and_is_left_as_it_was() -> None:
    server = ready()
    checks = examine(server, rendered(), NAMESPACE)
    assert report.exit_code(checks) == 0
    assert [check.found for check in checks if check.level not in ("ok", "unknown")] == []
    assert server.sent == [("dry run", key_of(entry)) for entry in rendered()]
    assert "hunter2" not in report.as_text(checks)
    assert "aHVudGVyMg" not in report.as_json("base", NAMESPACE, checks)


def test_what_was_seen() -> None:
    facts = gather(ready(), rendered(), NAMESPACE)
    assert facts.secrets["tidegate-mlflow-store"] == frozenset(DATA["tidegate-mlflow-store"])
    assert facts.clusters == frozenset({"shared"})
    assert facts.limit_ranges == ()
    assert not isinstance(facts.operators, Unknown)
    assert [entry["metadata"]["namespace"] for entry in facts.operators] == ["kuberay-operator"]


def test_a_review_asks_as_kubernetes_does() -> None:
    """The first as it was recorded (07_authz), one of a subresource, one of the whole cluster."""
    server = ready()
    gather(server, rendered(), NAMESPACE)
    asked = [review["spec"]["resourceAttributes"] for review in server.reviews]
    assert {"namespace": NAMESPACE, "group": "ray.io", "resource": "rayclusters", "verb": "list"} in asked
    assert {"namespace": NAMESPACE, "group": "", "resource": "pods", "subresource": "log", "verb": "get"} in asked
    assert {"group": "", "resource": "namespaces", "verb": "create"} in asked


def test_a_missing_right_and_a_missing_kind() -> None:
    server = ready(denied={"deployments"}, unknown_kinds={"RayService"})
    checks = examine(server, rendered(), NAMESPACE)
    problems = {check.subject: check.found for check in checks if check.level == "problem"}
    assert "create, patch, delete deployments.apps" in problems["permissions"]
    assert problems["kinds"] == "the server has no RayService of ray.io/v1"
    assert set(problems) == {"permissions", "kinds"}
    assert key_named("tidegate") not in [key for _, key in server.sent]


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("Namespace", "namespace"),
        ("StorageClass", "storage"),
        ("Node", "nodes"),
        ("Secret", "secrets"),
        ("LimitRange", "limit ranges"),
        ("ResourceQuota", "quotas"),
    ],
)
def test_what_is_forbidden_is_unknown(kind: str, subject: str) -> None:
    checks = examine(ready(forbidden={kind}), rendered(), NAMESPACE)
    assert {check.level for check in checks if check.subject == subject} == {"unknown"}
    assert any(f"{kind} is forbidden" in check.found for check in checks if check.subject == subject)
    assert report.exit_code(checks) == 0


def test_an_operator_that_only_its_own_namespace_shows() -> None:
    server = ready(forbidden={"Deployment everywhere"})
    facts = gather(server, rendered(), NAMESPACE)
    assert not isinstance(facts.operators, Unknown)
    assert [entry["metadata"]["namespace"] for entry in facts.operators] == ["kuberay-operator"]
    server.objects = [entry for entry in server.objects if entry["kind"] != "Deployment"]
    assert gather(server, rendered(), NAMESPACE).operators == Unknown("Deployment everywhere is forbidden")


def test_an_operator_without_the_label_is_found_by_its_name() -> None:
    server = ready()
    del next(entry for entry in server.objects if entry["kind"] == "Deployment")["metadata"]["labels"]
    facts = gather(server, rendered(), NAMESPACE)
    assert not isinstance(facts.operators, Unknown)
    assert len(facts.operators) == 1


def test_a_namespace_that_is_not_there_yet_has_no_dry_runs() -> None:
    server = ready()
    server.objects = [entry for entry in server.objects if entry["kind"] != "Namespace"]
    checks = examine(server, rendered(), NAMESPACE)
    assert [key.kind for _, key in server.sent] == ["Namespace"]
    (unknown,) = (check for check in checks if (check.subject, check.level) == ("dry run", "unknown"))
    assert unknown.found == f"{len(rendered()) - 1} objects: namespace {NAMESPACE} is not there yet"


def test_manifests_without_a_namespace_are_asked_about_where_an_apply_would_put_them() -> None:
    server = ready()
    settings: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    facts = gather(server, [settings, rendered()[0]], NAMESPACE)
    key = Key("v1", "ConfigMap", "settings", NAMESPACE)
    assert facts.dry_runs[key] == DryRun("accepted")
    assert ("dry run", key) in server.sent
    assert {right.namespace for right in facts.rights if right.resource == "configmaps"} == {NAMESPACE}
    assert {right.namespace for right in facts.rights if right.resource == "namespaces"} == {None}


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [
        (InvalidError("spec.x: unknown", status=422), "refused"),
        (PermissionDeniedError("exceeded quota", status=403), "refused"),
        (FieldConflictError("conflict with kubectl", status=409), "conflict"),
        (NotFoundError("namespaces not found", status=404), "unknown"),
    ],
)
def test_how_a_dry_run_ends(refusal: ApiError, outcome: Any) -> None:
    facts = gather(ready(refusals={"tidegate-mlflow": refusal}), rendered(), NAMESPACE)
    assert facts.dry_runs[key_named("tidegate-mlflow")] == DryRun(outcome, refusal.message)
    assert facts.dry_runs[key_named("tidegate-redis")] == DryRun("accepted")


@pytest.mark.parametrize("error", [UnreachableError("no server"), UnauthenticatedError("Unauthorized", status=401)])
def test_without_an_answer_the_rules_are_looked_at_all_the_same(error: KubeError) -> None:
    objects = rendered()
    objects[-1]["metadata"]["name"] = "T"
    checks = examine(ready(version="", refusals={"version": error}), objects, NAMESPACE)
    assert [(check.subject, check.level) for check in checks] == [
        ("API server", "problem"),
        ("operator's rules", "problem"),
    ]
    assert checks[0].found == str(error)
    assert checks[0].advice
