"""Values that are carried over from live objects: recorded ones of an autoscaler at work, and tables."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cluster.kube.applying import Applied, Outcome
from cluster.kube.comparison import differences, same, unified
from cluster.kube.errors import Cause, FieldConflictError
from cluster.kube.manifest import Key, Object
from cluster.kube.ownership import Conflict, conflicts, only_replica_writers, owns, value_at
from cluster.kube.readback import (
    UNBOUNDED,
    Carried,
    Prepared,
    active_cluster,
    autoscaled,
    bounds,
    with_live_groups,
    without_scaled_replicas,
)
from cluster.kube.running_cluster import cluster_changes
from tests.support.fake_api_server import recorded, transcript

MANIFEST = "the unchanged manifest applied again"
AUTOSCALED = "the object after the autoscaler wrote replicas"
SHRUNK = "after the scale down"


class TestRecorded:
    """A real RayCluster that Ray's autoscaler raised to two workers and brought back."""

    def test_replicas_of_the_autoscaler_are_kept(self) -> None:
        manifest = recorded("24_autoscaler_v2", MANIFEST).request.body
        live = recorded("24_autoscaler_v2", AUTOSCALED).body
        found = with_live_groups(manifest, live)
        assert found.carried == (Carried("w", 0, 2, 2),)
        assert found.obj["spec"]["workerGroupSpecs"][0]["replicas"] == 2
        assert manifest["spec"]["workerGroupSpecs"][0]["replicas"] == 0, "the manifest itself is left as it is"

    def test_forced_apply_keeps_the_replicas(self) -> None:
        # The recorded forced apply sent the manifest as it was, and scaleStrategy was gone.
        forced = recorded("24_autoscaler_v2", "forced apply: 200, scaleStrategy is gone")
        live = recorded("24_autoscaler_v2", SHRUNK).body
        workers = live["spec"]["workerGroupSpecs"][0]["scaleStrategy"]["workersToDelete"]
        assert "scaleStrategy" not in forced.body["spec"]["workerGroupSpecs"][0]
        sent = copy.deepcopy(with_live_groups(forced.request.body, live).obj)
        assert sent["spec"]["workerGroupSpecs"][0].pop("scaleStrategy") == {"workersToDelete": workers}
        assert len(workers) == 2
        assert sent == forced.request.body, "nothing else is touched"

    def test_the_active_cluster_over_an_upgrade(self) -> None:
        lines = [line for line in transcript("23_rayservice_upgrade") if line.get("watch") == "rayservices"]
        seen = [active_cluster(line["object"]) for line in lines if line["type"] != "BOOKMARK"]
        changes = [name for index, name in enumerate(seen) if index == 0 or seen[index - 1] != name]
        assert changes == [None, "sv-f5l4z", "sv-w6t2g"]

    def test_cluster_like_its_service_has_no_changes(self) -> None:
        service, cluster = _upgraded(0)
        assert cluster_changes(service, cluster) == []

    @pytest.mark.parametrize(
        ("strategy", "first", "last"),
        [
            (None, "a new cluster takes its place", "REVISION"),
            ("NewCluster", "a new cluster takes its place", "REVISION"),
            ("None", "keeps its old specification (upgradeStrategy.type is 'None')", "delete raycluster sv-f5l4z"),
        ],
    )
    def test_changes_of_an_upgrade_are_printed(self, strategy: str | None, first: str, last: str) -> None:
        service, cluster = _upgraded(1)
        service = service | {"spec": service["spec"] | {"upgradeStrategy": {"type": strategy}}}
        lines = cluster_changes(service, cluster)
        assert first in lines[0]
        assert last in lines[-1]
        assert any("headGroupSpec.template.spec.containers[ray-head].env" in line for line in lines)


def _upgraded(upgrades: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The RayService of the recorded upgrade after so many changes of its cluster, and the first RayCluster."""
    lines = transcript("23_rayservice_upgrade")
    services = {
        line["object"]["metadata"]["generation"]: line["object"]
        for line in lines
        if line.get("watch") == "rayservices" and line["type"] == "MODIFIED"
    }
    cluster = next(line["object"] for line in lines if line.get("watch") == "rayclusters" and line["type"] == "ADDED")
    return services[2 + upgrades], cluster


def _cluster(*groups: dict[str, Any], autoscaler: bool = True, kind: str = "RayCluster") -> dict[str, Any]:
    spec: dict[str, Any] = {"enableInTreeAutoscaling": autoscaler, "workerGroupSpecs": list(groups)}
    spec = {"rayClusterConfig": spec} if kind == "RayService" else spec
    return {"apiVersion": "ray.io/v1", "kind": kind, "metadata": {"name": "c", "namespace": "n"}, "spec": spec}


DELETE = {"workersToDelete": ["p"]}


@pytest.mark.parametrize(
    ("manifest", "live", "replicas"),
    [
        pytest.param({"replicas": 1, "maxReplicas": 9}, {"replicas": 5}, 5, id="within bounds"),
        pytest.param({"replicas": 1, "maxReplicas": 4}, {"replicas": 5}, 4, id="a lowered maximum holds"),
        pytest.param({"replicas": 1, "minReplicas": 3}, {"replicas": 0}, 3, id="a raised minimum holds"),
        pytest.param({"minReplicas": 0}, {"replicas": 0}, 0, id="zero is a number"),
        pytest.param({"replicas": 1}, {}, 1, id="live has no number"),
    ],
)
def test_live_replicas_within_the_manifests_bounds(
    manifest: dict[str, Any], live: dict[str, Any], replicas: int
) -> None:
    found = with_live_groups(_cluster({"groupName": "a"} | manifest), _cluster({"groupName": "a"} | live))
    assert found.obj["spec"]["workerGroupSpecs"][0]["replicas"] == replicas


def test_groups_are_matched_by_name_and_new_ones_keep_their_number() -> None:
    manifest = _cluster({"groupName": "new", "replicas": 1}, {"groupName": "b", "replicas": 1})
    live = _cluster({"groupName": "gone", "replicas": 7}, {"groupName": "b", "replicas": 4, "scaleStrategy": DELETE})
    groups = with_live_groups(manifest, live).obj["spec"]["workerGroupSpecs"]
    assert groups == [
        {"groupName": "new", "replicas": 1},
        {"groupName": "b", "replicas": 4, "scaleStrategy": DELETE},
    ]


def test_without_an_autoscaler_the_manifest_decides() -> None:
    manifest = _cluster({"groupName": "a", "replicas": 1}, autoscaler=False)
    assert with_live_groups(manifest, _cluster({"groupName": "a", "replicas": 5})).obj == manifest


def test_a_service_takes_replicas_but_no_names_of_pods() -> None:
    service = _cluster({"groupName": "a", "replicas": 1}, kind="RayService")
    live = _cluster({"groupName": "a", "replicas": 5, "scaleStrategy": DELETE})
    groups = with_live_groups(service, live).obj["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert groups == [{"groupName": "a", "replicas": 5}]


def test_bounds_have_the_crds_defaults() -> None:
    assert bounds({}) == (0, UNBOUNDED)
    assert bounds({"minReplicas": 2, "maxReplicas": 3}) == (2, 3)


DEPLOYMENT = Key("apps/v1", "Deployment", "web", "n")


@pytest.mark.parametrize(
    ("owner", "sent"),
    [
        pytest.param("kube-controller-manager", {}, id="the autoscaler has written it: left to it"),
        pytest.param("tidegate", {"replicas": 6}, id="an earlier apply owns it: not given up to the default of 1"),
        pytest.param(None, {}, id="new: left out"),
    ],
)
def test_replicas_of_a_scaled_deployment_are_left_out(owner: str | None, sent: dict[str, int]) -> None:
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"}}
    obj["spec"] = {"replicas": 2}
    hpa = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "n"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    }
    targets = autoscaled([obj, hpa], None)
    assert targets == {DEPLOYMENT}
    live = None
    if owner:
        entry = {"manager": owner, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        live = {"metadata": {"managedFields": [entry]}, "spec": {"replicas": 6}}
        assert owns(live, owner, "spec", "replicas")
        assert not owns(live, owner, "spec", "paused")
    assert without_scaled_replicas(obj, live, targets, "tidegate")["spec"] == sent
    assert without_scaled_replicas(obj, live, frozenset(), "tidegate") is obj


@pytest.mark.parametrize(
    ("found", "autoscaler", "ours"),
    [
        ([Conflict("python-requests", ".spec.workerGroupSpecs")], True, True),
        ([Conflict("python-requests", ".spec.workerGroupSpecs")], False, False),
        ([Conflict("me", ".spec.workerGroupSpecs")], False, True),
        ([Conflict("gitops", ".spec.workerGroupSpecs")], True, False),
        ([Conflict("me", ".spec.workerGroupSpecs"), Conflict("me", ".spec.rayVersion")], True, False),
        ([], True, False),
    ],
)
def test_writers_of_replicas_alone_are_recognized(found: list[Conflict], autoscaler: bool, ours: bool) -> None:
    assert only_replica_writers(found, _cluster(autoscaler=autoscaler), "me") is ours


def test_a_conflicts_manager_with_a_subresource() -> None:
    message = 'conflict with "rayplat" with subresource "scale" using apps/v1'  # as recorded in 11_core_objects
    error = FieldConflictError("m", status=409, causes=(Cause("FieldManagerConflict", ".spec.replicas", message),))
    assert conflicts(error) == [Conflict("rayplat", ".spec.replicas")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (".spec.replicas", 2),
        ('.spec.containers[name="b"].image', "y"),
        ('.spec.ports[containerPort=80,protocol="TCP"].name', "http"),
        (".metadata.annotations.example.com/a", "1"),
        ('.spec.containers[name="c"].image', None),
        (".spec.none.at.all", None),
    ],
)
def test_the_value_at_a_field_as_causes_write_it(field: str, value: Any) -> None:
    ports = [{"containerPort": 80, "protocol": "UDP", "name": "quic"}]
    ports.append({"containerPort": 80, "protocol": "TCP", "name": "http"})
    containers = [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]
    obj = {"metadata": {"annotations": {"example.com/a": "1"}}}
    assert value_at(obj | {"spec": {"replicas": 2, "containers": containers, "ports": ports}}, field) == value


def test_differences_ignore_what_only_live_has() -> None:
    live = {"a": 1, "b": [{"name": "x", "v": 1, "default": True}, {"name": "gone"}], "c": 2}
    wanted = {"a": 1, "b": [{"name": "new"}, {"name": "x", "v": 2}], "d": {}}
    assert [str(each) for each in differences(live, wanted)] == [
        "b[new]: (absent) -> {name: new}",
        "b[x].v: 1 -> 2",
        "b[gone]: {name: gone} -> (absent)",
    ]


def test_values_of_a_secret_are_hidden_and_their_changes_shown() -> None:
    before = {
        "kind": "Secret",
        "metadata": {"name": "s", "resourceVersion": "1"},
        "data": {"a": "b2xk", "b": "c2FtZQ=="},
    }
    after = before | {"metadata": {"name": "s", "resourceVersion": "2"}, "data": {"a": "bmV3", "b": "c2FtZQ=="}}
    text = "\n".join(unified(before, after, "Secret/s"))
    assert "-  a: '*** (before)'" in text
    assert "+  a: '*** (after)'" in text
    assert not {"b2xk", "bmV3", "c2FtZQ=="} & set(text.split())
    assert not same(before, after)
    assert unified(before, before, "Secret/s") == []


def test_a_secret_that_kubectl_applied_keeps_its_values_in_an_annotation_and_they_are_hidden_too() -> None:
    annotation = {"kubectl.kubernetes.io/last-applied-configuration": '{"data": {"a": "b2xk"}}', "team": "a"}
    before: Object = {"kind": "Secret", "metadata": {"name": "s", "annotations": annotation}, "data": {"a": "b2xk"}}
    text = "\n".join(unified(None, before, "Secret/s"))
    assert "team: a" in text
    assert "b2xk" not in text
    text = "\n".join(unified(before, before | {"data": {"a": "bmV3"}}, "Secret/s"))
    assert "b2xk" not in text
    assert "bmV3" not in text
    assert before["metadata"]["annotations"] == annotation


def test_conflict_about_a_secret_names_the_field_without_values() -> None:
    wanted = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "bmV3"}}
    found = Applied(
        Key("v1", "Secret", "s", "demo"),
        Outcome.CONFLICT,
        wanted | {"data": {"a": "b2xk"}},
        None,
        Prepared(wanted),
        conflicts=(Conflict("vault", ".data.a"),),
    )
    assert [str(each) for each in found.overwritten] == ["data.a: '*** (before)' -> '*** (after)'"]
