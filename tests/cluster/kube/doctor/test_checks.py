"""What the facts mean: everything right first, then one thing wrong at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest

from cluster.kube.doctor import needs, report
from cluster.kube.doctor.check import Check, Level
from cluster.kube.doctor.checks.secrets import secrets_checks
from cluster.kube.doctor.demand import pods_of
from cluster.kube.doctor.examine import judge
from cluster.kube.doctor.facts import DryRun, Right, Unknown
from cluster.kube.doctor.quantities import parse
from cluster.kube.manifest import Key, Object
from cluster.kube.render import render
from cluster.kube.snapshot import EVENTS
from cluster.kube.verbs.status import NEEDED, WHERE_THERE
from tests.cluster.kube.doctor.platform import (
    NAMESPACE,
    SAFE,
    facts,
    gpu_group,
    group,
    node,
    obj,
    operator,
    rendered,
    storage_class,
)

HIDDEN = Unknown("nodes is forbidden")


def quota(hard: dict[str, str], used: dict[str, str] | None = None) -> Object:
    return obj("v1", "ResourceQuota", "team", spec={"hard": hard}, status={"used": used or {}})


def limit_range(**item: Any) -> Object:
    return obj("v1", "LimitRange", "bounds", spec={"limits": [{"type": "Container", **item}]})


@dataclass(frozen=True)
class Case:
    """With ``wrong`` facts (or other groups), ``subject`` has a line of ``level`` that speaks of ``says``."""

    subject: str
    level: Level
    says: str
    wrong: dict[str, Any] = field(default_factory=dict)
    groups: tuple[Object, ...] = ()


RIGHT = Right("patch", "ray.io", "rayservices", NAMESPACE)
SECRETS = {"tidegate-gateway": frozenset({"admin-key-hash"}), "tidegate-ray-auth": frozenset({"auth_token"})}
DASHBOARD = "reach the dashboard"

CASES = [
    Case("secrets", "ok", "tidegate-redis: password"),
    Case("secrets", "ok", "tidegate-mlflow-store: there"),
    Case("API server", "problem", "v1.29.9", {"version": "v1.29.9"}),  # lifecycle.preStop.sleep is alpha there
    Case("API server", "ok", "v1.30.0-gke.100", {"version": "v1.30.0-gke.100"}),
    Case("API server", "unknown", "dev", {"version": "dev"}),
    Case("permissions", "problem", "patch rayservices.ray.io in namespace tidegate", {"rights": {RIGHT: False}}),
    Case("permissions", "unknown", "1 could not be asked", {"rights": {RIGHT: HIDDEN}}),
    Case("kinds", "problem", "no RayService of ray.io/v1", {"kinds": {("ray.io/v1", "RayService"): False}}),
    Case("kinds", "unknown", "nodes is forbidden", {"kinds": {("ray.io/v1", "RayService"): HIDDEN}}),
    Case("KubeRay operator", "problem", "no Deployment", {"operators": ()}),
    Case("KubeRay operator", "unknown", "forbidden", {"operators": HIDDEN}),
    Case("KubeRay operator", "problem", "1.6.1", {"operators": (operator(image="o/kuberay:v1.6.1"),)}),
    Case("KubeRay operator", "ok", "1.10.0", {"operators": (operator(image="host:5000/o/kuberay:v1.10.0"),)}),
    Case("KubeRay operator", "unknown", "no tag", {"operators": (operator(image="host:5000/o/kuberay@sha256:ab"),)}),
    Case("KubeRay operator", "unknown", "no tag", {"operators": (operator(image="o/kuberay:nightly"),)}),
    Case("KubeRay operator", "problem", "0 ready", {"operators": (operator(ready=0),)}),
    Case(
        "KubeRay operator",
        "problem",
        "does not watch namespace tidegate",
        {"operators": (operator("kuberay-operator", "o/kuberay:v1.7.0", "--watch-namespace", "a,b"),)},
    ),
    Case("KubeRay operator", "problem", "both watch", {"operators": (operator(), operator("kuberay-operator"))}),
    Case("KubeRay operator", "problem", DASHBOARD, {"operators": (operator("ray-system"),)}),
    Case(
        "KubeRay operator",
        "unknown",
        "RayTeleport",
        {"operators": (operator("kuberay-operator", "o/kuberay:v1.8.0", "--feature-gates=RayTeleport=true"),)},
    ),
    Case("namespace", "ok", "apply makes it", {"namespace_object": None}),
    Case("namespace", "unknown", "forbidden", {"namespace_object": HIDDEN}),
    Case("namespace", "problem", "being deleted", {"namespace_object": {"status": {"phase": "Terminating"}}}),
    Case("limit ranges", "unknown", "forbidden", {"limit_ranges": HIDDEN}),
    Case("limit ranges", "ok", "1 that", {"limit_ranges": (limit_range(max={"memory": "2Gi"}),)}),
    Case(
        "limit ranges",
        "problem",
        "memory 2Gi (max 1.5Gi)",
        {"limit_ranges": (limit_range(max={"memory": "1536Mi"}),)},
    ),
    Case(
        "limit ranges",
        "problem",
        "StatefulSet tidegate-redis: cpu 0.5 (min 1)",
        {"limit_ranges": (limit_range(min={"cpu": "1"}),)},
    ),
    Case("quotas", "unknown", "forbidden", {"quotas": HIDDEN}),
    Case("quotas", "ok", "1 with", {"quotas": (quota({"pods": "5", "requests.cpu": "5"}),)}),
    Case("quotas", "problem", "pods 5, 4 of 4 left", {"quotas": (quota({"pods": "4"}),)}),
    Case("quotas", "problem", "requests.cpu 5, 4.9 of 4.9 left", {"quotas": (quota({"requests.cpu": "4900m"}),)}),
    Case("quotas", "warning", "pods 5, 4 of 9 left", {"quotas": (quota({"pods": "9"}, {"pods": "5"}),)}),
    Case(
        "quotas",
        "problem",
        "count/rayservices.ray.io 1, 0 of 0",
        {"quotas": (quota({"count/rayservices.ray.io": "0"}),)},
    ),
    Case("secrets", "problem", "tidegate-redis is not there", {"secrets": SECRETS | {"tidegate-redis": None}}),
    Case("secrets", "problem", "has no key password", {"secrets": SECRETS | {"tidegate-redis": frozenset({"pass"})}}),
    Case("secrets", "unknown", "forbidden", {"secrets": SECRETS | {"tidegate-redis": HIDDEN}}),
    Case("storage", "unknown", "ReadWriteMany"),
    Case("storage", "unknown", "forbidden", {"storage_classes": HIDDEN}),
    Case("storage", "problem", "no class fast", {"storage_classes": (storage_class("slow", default=True),)}),
    Case("storage", "problem", "no class is the default", {"storage_classes": (storage_class("fast"),)}),
    Case(
        "storage",
        "warning",
        "2 classes are the default: a, fast",
        {"storage_classes": (storage_class("a", default=True), storage_class("fast", default=True))},
    ),
    Case("nodes", "unknown", "forbidden", {"nodes": HIDDEN}),
    Case(
        "nodes",
        "warning",
        "no room for: Ray head (1)",
        {"nodes": (node(memory="2Gi"),) * 5},
        (group("serving", 0, 1),),
    ),
    Case("nodes", "ok", "5 pods at least, 1 nodes", {"nodes": (node(memory="9.5Gi", cpu="5"),)}),
    Case("nodes", "warning", "0 nodes", {"nodes": ()}),
    Case("nodes", "problem", "0 nvidia.com/gpu allocatable; Ray group serving-gpu ask for 2", {}, (gpu_group(2),)),
    Case("nodes", "warning", "0 nvidia.com/gpu allocatable", {}, (gpu_group(0),)),
    Case("nodes", "ok", "2 nvidia.com/gpu allocatable", {"nodes": (node(gpus=2),)}, (gpu_group(2),)),
    Case("operator's rules", "problem", "minReplicas is 5", {}, (group("serving", 5, 1),)),
    Case(
        "dry run",
        "problem",
        "Deployment tidegate/x: no",
        {"dry_runs": {Key("apps/v1", "Deployment", "x", NAMESPACE): DryRun("refused", "no")}},
    ),
    Case(
        "dry run",
        "warning",
        "conflict with",
        {"dry_runs": {Key("v1", "Service", "x"): DryRun("conflict", "conflict with y")}},
    ),
    Case(
        "dry run",
        "unknown",
        "1 objects: not there",
        {"dry_runs": {Key("v1", "Service", "x"): DryRun("unknown", "not there")}},
    ),
]


def test_a_ready_cluster_has_nothing_but_the_open_question_of_its_storage() -> None:
    objects = rendered()
    checks = judge(facts(objects), objects)
    assert [check for check in checks if check.level != "ok"] == [
        Check(
            "storage",
            "unknown",
            "claim tidegate-shared is ReadWriteMany; no API says whether the default class can do that",
            "a class on NFS, CephFS or the like; on block storage the claim stays Pending",
        )
    ]
    assert {check.subject for check in checks} >= {case.subject for case in CASES} - {"limit ranges", "quotas"}
    assert report.exit_code(checks) == 0


@pytest.mark.parametrize("case", CASES, ids=[f"{case.subject}-{case.says}" for case in CASES])
def test_one_thing_is_otherwise(case: Case) -> None:
    objects = rendered(*case.groups)
    checks = judge(facts(objects, **case.wrong), objects)
    lines = [check for check in checks if (check.subject, check.level) == (case.subject, case.level)]
    assert any(case.says in check.found for check in lines), lines
    assert all(check.advice for check in checks if check.level != "ok")
    assert report.exit_code(checks) == (1 if case.level == "problem" else report.exit_code(checks))
    others = [check for check in checks if check.subject != case.subject and check.level in ("problem", "warning")]
    assert not others


@pytest.mark.parametrize(
    "fact",
    [
        "namespace_object",
        "operators",
        "storage_classes",
        "nodes",
        "limit_ranges",
        "quotas",
        "secrets",
        "rights",
        "kinds",
    ],
)
def test_what_may_not_be_seen_is_never_ok(fact: str) -> None:
    objects = rendered()
    ready = facts(objects)
    known = getattr(ready, fact)
    hidden = dict.fromkeys(known, HIDDEN) if fact in ("secrets", "rights", "kinds") else HIDDEN
    subject = {
        "namespace_object": "namespace",
        "operators": "KubeRay operator",
        "storage_classes": "storage",
        "limit_ranges": "limit ranges",
        "rights": "permissions",
    }.get(fact, fact)
    found = judge(facts(objects, **{fact: hidden}), objects)
    levels = {check.level for check in found if check.subject == subject}
    assert levels == {"unknown"}


@pytest.mark.parametrize(
    ("selector", "level"),
    [
        ({"matchLabels": {"kubernetes.io/metadata.name": "ray-system"}}, "ok"),
        (
            {
                "matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["ray-system"]}
                ]
            },
            "ok",
        ),
        ({}, "ok"),
        ({"matchLabels": {"team": "ml"}}, "unknown"),
        ({"matchLabels": {"kubernetes.io/metadata.name": "ray-systems"}}, "problem"),
        (None, "problem"),
    ],
)
def test_whom_the_network_policy_lets_in(selector: Object | None, level: Level) -> None:
    objects = rendered()
    policy = next(entry for entry in objects if entry["kind"] == "NetworkPolicy")
    policy["spec"]["ingress"][0]["from"] = [
        {"namespaceSelector": selector} if selector is not None else {"podSelector": {}}
    ]
    checks = judge(facts(objects, operators=(operator("ray-system"),)), objects)
    assert (
        max((c.level for c in checks if c.subject == "KubeRay operator"), key=["ok", "unknown", "problem"].index)
        == level
    )


@pytest.mark.parametrize(
    ("level", "change", "says"),
    [
        ("restricted", {"runAsNonRoot": None}, "no runAsNonRoot"),
        ("restricted", {"allowPrivilegeEscalation": None}, "no allowPrivilegeEscalation: false"),
        ("restricted", {"capabilities": None}, "no capabilities.drop: ALL"),
        ("restricted", {"seccompProfile": {"type": "Unconfined"}}, "no seccompProfile"),
        ("baseline", {"privileged": True}, "privileged"),
        ("baseline", {"runAsNonRoot": None}, None),
        ("privileged", {"privileged": True}, None),
    ],
)
def test_pods_that_the_level_refuses(level: str, change: dict[str, Any], says: str | None) -> None:
    objects = rendered()
    objects[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = level
    mlflow = next(entry for entry in objects if entry["kind"] == "Deployment")
    mlflow["spec"]["template"]["spec"]["containers"][0]["securityContext"] = SAFE | change
    (check,) = (c for c in judge(facts(objects), objects) if c.subject == "pod security")
    assert check.level == ("problem" if says else "ok")
    assert says is None or f"Deployment tidegate-mlflow: {says}" in check.found


def test_the_autoscaler_beside_the_head_is_a_pod_security_matter_too() -> None:
    objects = rendered()
    del objects[-1]["spec"]["rayClusterConfig"]["autoscalerOptions"]["securityContext"]
    (check,) = (c for c in judge(facts(objects), objects) if c.subject == "pod security")
    assert (check.level, "Ray head" in check.found) == ("problem", True)


def test_a_namespace_that_enforces_nothing_is_a_warning_unless_we_bring_the_label() -> None:
    objects = rendered()
    assert not [c for c in judge(facts(objects, namespace_object={}), objects) if c.level in ("warning", "problem")]
    (check,) = (c for c in judge(facts(objects, namespace_object={}), objects[1:]) if c.subject == "pod security")
    assert check.level == "warning"


def test_the_operators_own_gates_are_the_ones_that_count() -> None:
    objects = rendered()
    objects[-1]["spec"]["rayClusterConfig"]["networkPolicy"] = {"mode": "DenyAll"}
    on = operator("kuberay-operator", "o/kuberay:v1.7.0", "--feature-gates=RayClusterNetworkPolicy=true")
    other = operator("b", "o/kuberay:v1.7.0", "--watch-namespace=b")

    def levels(*operators: Object) -> set[Level]:
        checks = judge(facts(objects, operators=operators), objects)
        return {check.level for check in checks if check.subject == "operator's rules"}

    assert levels(operator()) == {"problem"}
    assert levels(other, on) == {"ok"}


def test_a_job_on_a_cluster_that_is_not_there_is_a_warning() -> None:
    spec = {"entrypoint": "x", "clusterSelector": {"ray.io/cluster": "shared"}}
    objects = [*rendered(), obj("ray.io/v1", "RayJob", "train", spec=spec)]

    def warned(clusters: Any) -> bool:
        return any(c.level == "warning" for c in judge(facts(objects, clusters=clusters), objects))

    assert warned(frozenset({"other"}))
    assert not warned(frozenset({"shared"}))
    assert not warned(HIDDEN)


def test_the_rights_are_those_of_the_rendered_kinds() -> None:
    found = {str(right) for right in needs.rights_of(rendered(), NAMESPACE)}
    assert {
        "patch rayservices.ray.io in namespace tidegate",
        "create namespaces in the whole cluster",
        "delete networkpolicies.networking.k8s.io in namespace tidegate",
        "get pods/log in namespace tidegate",
        "watch events in namespace tidegate",
        "list rayclusters.ray.io in namespace tidegate",
    } <= found
    assert not any("secrets" in right or "delete pods" in right for right in found)


def test_the_rights_are_enough_for_the_verbs_that_render_nothing() -> None:
    found = {str(right) for right in needs.rights_of([], NAMESPACE)}
    everywhere = [each for each in (*NEEDED, *WHERE_THERE) if "k8s.io/" not in each[0] or each == EVENTS]
    assert len(everywhere) == 12
    for api_version, kind in everywhere:
        group = api_version.rpartition("/")[0]
        for verb in ("list", "watch"):
            assert str(Right(verb, group, needs.resource_of(kind), NAMESPACE)) in found
    assert "patch rayclusters.ray.io in namespace tidegate" in found  # scale
    assert "create rayjobs.ray.io in namespace tidegate" in found  # train


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("NetworkPolicy", "networkpolicies"),
        ("StorageClass", "storageclasses"),
        ("HTTPRoute", "httproutes"),
        ("RayJob", "rayjobs"),
        ("PeerAuthentication", "peerauthentications"),
        ("PodDisruptionBudget", "poddisruptionbudgets"),
    ],
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
    (found,) = secrets_checks(facts(rendered()), [gateway])
    assert (found.level, found.found) == ("problem", "tidegate-tls is not there")
    assert found.advice == f"kubectl -n {NAMESPACE} create secret tls tidegate-tls --cert=FILE --key=FILE"
    others = [
        {"name": "a", "kind": "Vault"},
        {"name": "b", "group": "x"},
        {"name": "c", "namespace": "d"},
    ]
    assert needs.secrets_of([{**gateway, "spec": {"listeners": [{"tls": {"certificateRefs": others}}]}}]) == {}


def test_certificates_are_needed_where_the_operator_makes_them() -> None:
    objects = rendered()
    assert ("cert-manager.io/v1", "Certificate") not in needs.kinds_of(objects)
    objects[-1]["spec"]["rayClusterConfig"]["tlsOptions"] = {"enabled": True}
    assert ("cert-manager.io/v1", "Certificate") in needs.kinds_of(objects)


def test_what_is_asked_for_at_least() -> None:
    counted = {
        entry.name: (entry.count, entry.most) for entry in pods_of(rendered(gpu_group(1), group("training", 0, 2)))
    }
    assert counted == {
        "Deployment tidegate-mlflow": (2, 4),
        "StatefulSet tidegate-redis": (1, 1),
        "Ray head": (1, 1),
        "Ray group serving-gpu": (1, 4),
        "Ray group training": (0, 2),
    }
    head = next(entry for entry in pods_of(rendered()) if entry.name == "Ray head")
    assert head.requests == {"cpu": Fraction(3, 2), "memory": Fraction(5 * 2**29)}  # with the autoscaler


def test_a_start_up_container_counts_where_it_is_the_larger() -> None:
    objects = rendered()
    spec = next(entry for entry in objects if entry["kind"] == "Deployment")["spec"]["template"]["spec"]
    sidecar = {"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}
    spec["initContainers"] = [{"resources": {"requests": {"cpu": "3"}}}, sidecar]
    mlflow = next(entry for entry in pods_of(objects) if entry.name == "Deployment tidegate-mlflow")
    assert mlflow.requests == {"cpu": Fraction(3), "memory": Fraction(2**31)}


@pytest.mark.parametrize(
    ("nodes", "room"),
    [
        ([node(cpu="5", memory="9.5Gi")], True),
        ([node(cpu="4999m", memory="64Gi")], False),
        ([node("a", "3", "6Gi"), node("b", "3", "6Gi")], True),
        (
            [
                node("a", "1400m", "64Gi"),
                node("b", "1400m", "64Gi"),
                node("c", "1400m", "64Gi"),
                node("d", "1400m", "64Gi"),
            ],
            False,
        ),
        ([node() | {"spec": {"unschedulable": True}}], False),
        (
            [
                node()
                | {"spec": {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}}
            ],
            False,
        ),
        ([node() | {"spec": {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]}}], True),
        ([node() | {"status": {"allocatable": {"cpu": "9", "memory": "99Gi"}, "conditions": []}}], False),
    ],
)
def test_room_on_nodes(nodes: list[Object], room: bool) -> None:
    objects = rendered()
    (check,) = (c for c in judge(facts(objects, nodes=tuple(nodes)), objects) if c.subject == "nodes")
    assert check.level == ("ok" if room else "warning")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", Fraction(1, 2)),
        ("1.5", Fraction(3, 2)),
        ("2Gi", 2**31),
        ("1e3", 1000),
        ("1E", 10**18),
        (".5k", 500),
        (4, 4),
    ],
)
def test_quantities(text: Any, value: Fraction | int) -> None:
    assert parse(text) == value


@pytest.mark.parametrize("text", ["", "1 Gi", "1GiB", "Gi", "1e", "½", True, None])
def test_no_quantities(text: Any) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        parse(text)


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
