"""Objects applied beside an autoscaler and other managers: recorded objects, and composed requests around them."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest

from cluster.kube.applying import Applier, Outcome
from cluster.kube.errors import KubeError, NotFoundError, StaleError, TestFailedError
from cluster.kube.manifest import Object
from cluster.kube.operator_warnings import OperatorWarnings
from tests.cluster.kube.conftest import RAY, Serve
from tests.support.fake_api_server import Exchange, Hold, composed, moved, recorded, transcript

AU = f"{RAY}/namespaces/demo/rayclusters/au"
DEMO = f"{RAY}/namespaces/team-a/rayclusters/demo"
APPLY = "application/apply-patch+yaml"
PATCH = "application/json-patch+json"
STORY = "the recorded object in a story of its own"


def test_created_then_unchanged_then_configured(serve: Serve) -> None:
    created = recorded("02_ssa", "apply a new RayCluster")
    unchanged = recorded("02_ssa", "apply it again unchanged")
    label = recorded("02_ssa", "apply a new label")
    missing = moved(recorded("02_ssa", "nothing was kept"), path=DEMO)
    live = composed("the object as its apply answered", "GET", DEMO, created.body)
    kube = serve(missing, live, created, unchanged, label).kube
    applier = Applier(kube, frozenset())
    found = [applier.apply(each.request.body) for each in (created, unchanged, label)]
    assert [each.outcome for each in found] == [Outcome.CREATED, Outcome.UNCHANGED, Outcome.CONFIGURED]


def test_field_of_another_manager_is_reported_and_left(serve: Serve) -> None:
    conflict = recorded("03_ssa_conflicts", "two conflicting fields")
    live = recorded("03_ssa_conflicts", "start: owned by rayplat")
    manifest = conflict.request.body | {"spec": conflict.request.body["spec"] | {"enableInTreeAutoscaling": False}}
    kube = serve(live, moved(conflict, body=manifest), field_manager="gitops").kube
    found = Applier(kube, frozenset()).apply(manifest)
    assert found.outcome is Outcome.CONFLICT
    assert {each.manager for each in found.conflicts} == {"rayplat"}
    fields = [each.field for each in found.overwritten]
    assert "spec.rayVersion" in fields
    assert any(field.startswith("spec.workerGroupSpecs[cpu]") for field in fields)


def test_force_is_sent_only_on_request_with_the_live_replicas(serve: Serve) -> None:
    live = recorded("24_autoscaler_v2", "after the scale down")
    forced = recorded("24_autoscaler_v2", "forced apply: 200, scaleStrategy is gone")
    sent = copy.deepcopy(forced.request.body)
    group = sent["spec"]["workerGroupSpecs"][0]
    group["scaleStrategy"] = live.body["spec"]["workerGroupSpecs"][0]["scaleStrategy"]
    answer = moved(forced, body=sent)
    served = serve(live, answer)
    found = Applier(served.kube, frozenset(), force=True).apply(forced.request.body)
    assert found.outcome is Outcome.CONFIGURED
    assert served.server.requests[-1].body == sent


def test_an_image_changes_without_force_while_the_autoscaler_owns_the_groups(serve: Serve) -> None:
    manifest, live, conflict = _autoscaled("registry.example/ray:new")
    groups = _carried(manifest, live)
    patched = _defaulted(live, groups)
    served = serve(
        _got(live),
        _applied(manifest | {"spec": manifest["spec"] | {"workerGroupSpecs": groups}}, conflict.body, 409),
        _patched(live, groups, patched),
        _applied(
            manifest | {"spec": manifest["spec"] | {"workerGroupSpecs": patched["spec"]["workerGroupSpecs"]}}, patched
        ),
    )
    found = Applier(served.kube, frozenset()).apply(manifest)
    assert found.outcome is Outcome.CONFIGURED
    assert found.after == patched
    assert [str(each) for each in found.sent.carried] == ["group w: 2 replicas, as the autoscaler has it"]
    assert not any(("force", "true") in asked.query for asked in served.server.requests)


def test_replicas_set_meanwhile_are_not_overwritten(serve: Serve) -> None:
    manifest, live, conflict = _autoscaled("registry.example/ray:new")
    later = copy.deepcopy(live)
    later["metadata"]["resourceVersion"] = "9999"
    later["spec"]["workerGroupSpecs"][0]["replicas"] = 1
    first, second = _carried(manifest, live), _carried(manifest, later)
    assert (first[0]["replicas"], second[0]["replicas"]) == (2, 1)
    patched = _defaulted(later, second)
    served = serve(
        _got(live),
        _got(live),
        _got(later),
        _applied(manifest | {"spec": manifest["spec"] | {"workerGroupSpecs": first}}, conflict.body, 409),
        moved(recorded("04_patch", "JSON patch with a test that fails"), **_request(_patched(live, first, live))),
        _patched(later, second, patched),
        _applied(
            manifest | {"spec": manifest["spec"] | {"workerGroupSpecs": patched["spec"]["workerGroupSpecs"]}}, patched
        ),
    )
    found = Applier(served.kube, frozenset()).apply(manifest)
    assert found.outcome is Outcome.CONFIGURED
    assert found.sent.carried[0].sent == 1


def test_apply_is_repeated_after_a_conflicting_write(serve: Serve) -> None:
    manifest, live, _ = _autoscaled("registry.example/ray:new")
    sent = manifest | {"spec": manifest["spec"] | {"workerGroupSpecs": _carried(manifest, live)}}
    stale = recorded("02_ssa", "stale resourceVersion").body
    once = serve(
        _got(live), _applied(sent, stale, 409), _applied(sent, live | {"metadata": {"resourceVersion": "x"}})
    )
    assert Applier(once.kube, frozenset()).apply(manifest).outcome is Outcome.CONFIGURED
    always = serve(_got(live), _applied(sent, stale, 409))
    with pytest.raises(StaleError, match="the object has been modified"):
        Applier(always.kube, frozenset()).apply(manifest)
    assert [asked.method for asked in always.server.requests].count("PATCH") == 5


def test_object_that_is_being_deleted_is_not_applied(serve: Serve) -> None:
    """The server takes it (recorded: "apply while terminating is accepted"), and the object goes all the same."""
    going = recorded("09_delete", "still there")
    served = serve(going)
    manifest = recorded("09_delete", "apply while terminating").request.body
    with pytest.raises(KubeError, match=r"is being deleted since .*, held by") as caught:
        Applier(served.kube, frozenset()).apply(manifest)
    assert going.body["metadata"]["finalizers"][0] in str(caught.value)
    assert {asked.method for asked in served.server.requests} == {"GET"}


def test_group_that_changes_each_time_raises(serve: Serve) -> None:
    manifest, live, conflict = _autoscaled("registry.example/ray:new")
    groups = _carried(manifest, live)
    failing = moved(
        recorded("04_patch", "JSON patch with a test that fails"), **_request(_patched(live, groups, live))
    )
    wanted = manifest | {"spec": manifest["spec"] | {"workerGroupSpecs": groups}}
    served = serve(_got(live), _applied(wanted, conflict.body, 409), failing)
    with pytest.raises(TestFailedError):
        Applier(served.kube, frozenset()).apply(manifest)
    assert len([asked for asked in served.server.requests if asked.content_type == PATCH]) == 5


def test_a_dry_run_beside_the_autoscaler_keeps_nothing(serve: Serve) -> None:
    manifest, live, conflict = _autoscaled("registry.example/ray:new")
    groups = _carried(manifest, live)
    wanted = manifest | {"spec": manifest["spec"] | {"workerGroupSpecs": groups}}
    served = serve(
        _got(live),
        composed(
            STORY,
            "PATCH",
            f"{AU}?fieldManager=rayplat&dryRun=All",
            conflict.body,
            status=409,
            sent=wanted,
            content_type=APPLY,
        ),
        composed(
            STORY,
            "PATCH",
            f"{AU}?fieldManager=rayplat&force=true&dryRun=All",
            _defaulted(live, groups),
            sent=wanted,
            content_type=APPLY,
        ),
    )
    assert Applier(served.kube, frozenset(), dry_run=True).apply(manifest).outcome is Outcome.CONFIGURED
    assert all(("dryRun", "All") in asked.query for asked in served.server.requests if asked.method == "PATCH")


def test_a_service_gets_the_replicas_of_the_cluster_that_serves(serve: Serve) -> None:
    manifest, cluster, _ = _autoscaled("registry.example/ray:new")
    path = f"{RAY}/namespaces/demo/rayservices/sv"
    service = {"apiVersion": "ray.io/v1", "kind": "RayService", "metadata": {"name": "sv", "namespace": "demo"}}
    service |= {"spec": {"rayClusterConfig": manifest["spec"]}}
    live = copy.deepcopy(service)
    live["metadata"] |= {"resourceVersion": "1"}  # type: ignore[operator]
    live["status"] = {"activeServiceStatus": {"rayClusterName": "au"}}
    sent = copy.deepcopy(service)
    sent["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["replicas"] = 2  # type: ignore[index]
    served = serve(
        composed(STORY, "GET", path, live),
        _got(cluster),
        composed(
            STORY,
            "PATCH",
            f"{path}?fieldManager=rayplat",
            sent | {"metadata": {"resourceVersion": "2"}},
            sent=sent,
            content_type=APPLY,
        ),
    )
    found = Applier(served.kube, frozenset()).apply(service)
    assert found.outcome is Outcome.CONFIGURED
    assert found.running == cluster


def test_dry_run_accepts_a_namespace_that_the_same_apply_creates(serve: Serve) -> None:
    absent = recorded("02_ssa", "namespace absent")
    manifest = absent.request.body | {"metadata": absent.request.body["metadata"] | {"namespace": "nope"}}
    missing = moved(recorded("02_ssa", "nothing was kept"), path=absent.request.path)
    dry = (("dryRun", "All"), ("fieldManager", "rayplat"))
    kube = serve(missing, moved(absent, body=manifest), moved(absent, body=manifest, query=dry)).kube
    assert Applier(kube, frozenset(), dry_run=True).apply(manifest).outcome is Outcome.CREATED
    with pytest.raises(NotFoundError, match="kubectl create namespace nope"):
        Applier(kube, frozenset()).apply(manifest)


class TestRefusals:
    """The event is the recorded one of a RayCluster with minReplicas above maxReplicas, in core/v1's words."""

    def test_only_warnings_after_the_apply_are_reported(self, serve: Serve) -> None:
        old, new = _event("old", "7"), _event("new", "8")
        path = "/api/v1/namespaces/team-b/events?fieldSelector=type%3DWarning"
        served = serve(
            composed(STORY, "GET", path, {"items": [old], "metadata": {"resourceVersion": "7"}}),
            composed(STORY, "GET", f"{path}&watch=true&resourceVersion=7", ({"type": "ADDED", "object": new},)),
        )
        refusals = OperatorWarnings(served.kube, "team-b")
        obj = {"kind": "RayCluster", "metadata": {"name": "c0", "uid": "u"}}
        assert refusals.sentences([obj]) == [f"RayCluster c0: InvalidRayClusterSpec: {recorded_events()[0]['note']}"]

    def test_no_warning_in_time_gives_no_sentence(self, serve: Serve) -> None:
        path = "/api/v1/namespaces/team-b/events?fieldSelector=type%3DWarning"
        never = threading.Event()
        served = serve(
            composed(STORY, "GET", path, {"items": [], "metadata": {"resourceVersion": "7"}}),
            composed(STORY, "GET", f"{path}&watch=true&resourceVersion=7", (Hold(never),)),
        )
        obj = {"kind": "RayCluster", "metadata": {"name": "c0", "uid": "u"}}
        assert OperatorWarnings(served.kube, "team-b").sentences([obj], listen_s=0.3) == []
        never.set()


def _event(name: str, revision: str) -> Object:
    found = recorded_events()[0]
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": revision},
        "type": found["type"],
        "reason": found["reason"],
        "message": found["note"],
        "involvedObject": {"kind": "RayCluster", "name": "c0", "uid": "u"},
    }


def recorded_events() -> list[dict[str, Any]]:
    events = transcript("10_operator_warnings")[0]["after"]["events"]
    assert isinstance(events, list)
    return events


def _autoscaled(image: str) -> tuple[Object, Object, Exchange]:
    """The recorded manifest with another image, the live object that the autoscaler has scaled, and the conflict."""
    conflict = recorded("24_autoscaler_v2", "the unchanged manifest applied again")
    manifest = copy.deepcopy(conflict.request.body)
    manifest["spec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["image"] = image
    return manifest, recorded("24_autoscaler_v2", "the object after the autoscaler wrote replicas").body, conflict


def _carried(manifest: Object, live: Object) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = copy.deepcopy(manifest["spec"]["workerGroupSpecs"])
    groups[0]["replicas"] = live["spec"]["workerGroupSpecs"][0]["replicas"]
    return groups


def _defaulted(live: Object, groups: list[dict[str, Any]]) -> Object:
    """The object as the server has it after the patch: the CRD's defaults are filled in."""
    obj = copy.deepcopy(live)
    obj["metadata"]["resourceVersion"] = "5000"
    obj["spec"]["workerGroupSpecs"] = [{"numOfHosts": 1, "priority": 0} | group for group in groups]
    return obj


def _got(live: Object) -> Exchange:
    return composed(STORY, "GET", AU, live)


def _applied(sent: Object, answer: Any, status: int = 200) -> Exchange:
    return composed(
        STORY, "PATCH", f"{AU}?fieldManager=rayplat", answer, status=status, sent=sent, content_type=APPLY
    )


def _patched(live: Object, groups: list[dict[str, Any]], answer: Object) -> Exchange:
    operations = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec/workerGroupSpecs", "value": groups},
    ]
    return composed(STORY, "PATCH", f"{AU}?fieldManager=rayplat", answer, sent=operations, content_type=PATCH)


def _request(exchange: Exchange) -> dict[str, Any]:
    return {"path": exchange.request.path, "body": exchange.request.body}
