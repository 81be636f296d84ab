"""What ``status`` tells of recorded clusters."""

from __future__ import annotations

import argparse
import io
import json
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.kube.board import Board, board
from cluster.kube.errors import MissingKindError, PermissionDeniedError
from cluster.kube.manifest import Key, Object
from cluster.kube.snapshot import PART_OF, Snapshot
from cluster.kube.verbs import status
from cluster.kube.verbs.status import look, show, watch_status
from tests.cluster.kube.recorded import Recorded, snapshot_at
from tests.cluster.kube.test_health import CLUSTER, NOW, RUNNING, cluster_with, ray_pod


def board_at(recording: str, seconds: float, *kinds: str) -> Board:
    snapshot = snapshot_at(recording, seconds)
    return board(snapshot, [key for key in snapshot.objects if key.kind in kinds], "demo")


def shown(found: Board) -> str:
    out = io.StringIO()
    show(found, "https://recorded:6443", as_json=False, stream=out)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_a_broken_application_is_seen_at_one_look_although_ready_is_true() -> None:
    found = board_at("23_rayservice_upgrade", 70.0, "RayService", "Service")
    assert not found.ready
    lines = shown(found).splitlines()
    assert lines[0] == "not ready  1 failed, 6 ready  (namespace demo, https://recorded:6443)"
    first = next(line for line in lines if line.startswith("RayService sv"))
    assert lines.index(first) == 3, "what is wrong comes first"
    assert first.endswith("failed with exception: ModuleNotFoundError: No module named 'nosuch'")
    (application,) = found.applications
    assert (application.name, application.state, application.cluster) == ("a", "DEPLOY_FAILED", "sv-w6t2g")
    assert [(row.reason, row.count) for row in found.warnings] == [("FailedToUpdateServeApplications", 2)]


def test_an_upgrade_shows_both_clusters_and_which_one_answers() -> None:
    found = board_at("23_rayservice_upgrade", 40.0, "RayService")
    assert [(row.kind, row.name, row.state) for row in found.objects] == [
        ("RayCluster", "sv-w6t2g", "progressing"),
        ("RayService", "sv", "progressing"),
        ("RayCluster", "sv-f5l4z", "ready"),
    ]
    assert "; sv-f5l4z still answers" in found.objects[1].why
    assert [(group.cluster, group.name, group.ready) for group in found.groups] == [
        ("sv-f5l4z", "head", 1),
        ("sv-w6t2g", "head", 0),
    ]
    assert [row.name for row in found.pods] == ["sv-w6t2g-head-88sfs"]


def test_groups_count_what_is_wanted_and_ready_and_name_who_leaves() -> None:
    growing = board_at("24_autoscaler_v2", 48.74, "RayCluster").groups[1]
    assert (growing.name, growing.least, growing.wanted, growing.ready, growing.most) == ("w", 0, 2, 1, 2)
    shrinking = board_at("24_autoscaler_v2", 89.2, "RayCluster").groups[1]
    assert (shrinking.wanted, shrinking.ready, shrinking.note) == (0, 0, "2 named to leave")
    fixed = board_at("20_raycluster_lifecycle", 26.6, "RayCluster").groups[1]
    assert fixed.note == "fixed: no autoscaler"


def test_pods_that_cannot_be_placed_say_so_once() -> None:
    found = board_at("21_rayjob_success", 0.5, "RayJob")
    assert [(row.name.split("-")[-2], row.why) for row in found.pods] == [
        ("head", "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu"),
        ("worker", "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu"),
    ]
    assert found.warnings == (), "they say what the rows say"
    later = board_at("21_rayjob_success", 38.0, "RayJob")
    assert [(row.about, row.count) for row in later.warnings] == [("Pod job-ok-xqwzw-w-worker-bxkjz and 1 more", 2)]
    assert later.ready, "a job that runs makes the platform neither ready nor not"


def test_a_training_pod_makes_nothing_not_ready() -> None:
    training = ray_pod("training", RUNNING)
    event = {
        "kind": "Event",
        "metadata": {"name": "e"},
        "type": "Warning",
        "reason": "Unhealthy",
        "note": 'Readiness probe failed: Get "http://10.0.0.1:8000/-/healthz": connect: connection refused',
        "regarding": {"kind": "Pod", "name": "training", "uid": "training"},
        "series": {"count": 400, "lastObservedTime": NOW.isoformat()},
    }
    snapshot = cluster_with(ray_pod("serving", RUNNING, ready=True), training)
    snapshot = Snapshot.of([*snapshot.objects.values(), event], NOW)
    found = board(snapshot, [CLUSTER], "n")
    assert (found.ready, found.pods, found.warnings) == (True, (), ())
    rows = [(group.name, group.wanted, group.ready, group.note) for group in found.groups[1:]]
    assert rows == [
        ("serving", 1, 1, "fixed: no autoscaler"),
        ("training", 1, 1, "fixed: no autoscaler, 1 without a Serve proxy"),
    ]
    training["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    found = board(snapshot, [CLUSTER], "n")
    assert (found.ready, [row.name for row in found.pods], found.groups[2].ready) == (False, ["training"], 0)
    assert [row.reason for row in found.warnings] == ["Unhealthy"]


def managed(*managers: tuple[str, str]) -> list[dict[str, Any]]:
    fields: dict[str, Any] = {"f:spec": {"f:workerGroupSpecs": {}}}
    return [{"manager": manager, "time": time, "fieldsV1": fields} for manager, time in managers]


@pytest.mark.parametrize(
    ("managers", "asked_by"),
    [
        ([], ""),
        ([("tidegate", "2026-01-01T00:00:00Z")], "spec (tidegate)"),
        ([("tidegate", "2026-01-01T00:00:00Z"), ("python-requests", "2026-01-02T00:00:00Z")], "autoscaler"),
        ([("tidegate", "2026-01-03T00:00:00Z"), ("python-requests", "2026-01-02T00:00:00Z")], "spec (tidegate)"),
    ],
)
def test_who_asked_for_the_replicas(managers: list[tuple[str, str]], asked_by: str) -> None:
    cluster = ray_cluster()
    cluster["metadata"]["managedFields"] = managed(*managers)
    found = board(Snapshot.of([cluster]), [Key("ray.io/v1", "RayCluster", "rc", "n")], "n")
    assert found.groups[1].asked_by == asked_by


def ray_cluster(ready: bool = True, **metadata: Any) -> Object:
    state = "True" if ready else "False"
    conditions = [{"type": kind, "status": state} for kind in ("HeadPodReady", "RayClusterProvisioned")]
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": "rc", "namespace": "n", "labels": {PART_OF: "tidegate"}, **metadata},
        "spec": {"workerGroupSpecs": [{"groupName": "w", "replicas": 0}]},
        "status": {"conditions": conditions},
    }


def test_what_is_not_labelled_is_not_told_and_what_may_not_be_seen_is() -> None:
    other = {**ray_cluster(), "metadata": {"name": "other", "namespace": "n"}}
    kube = Recorded(ray_cluster(), other)
    found = look(kube, "n", None)
    assert [row.name for row in found.objects] == ["rc"]
    assert found.ready
    kube.refused["Gateway"] = MissingKindError("no such kind", status=404)
    assert look(kube, "n", None).ready, "a kind that is not installed is not needed"
    kube.refused["Gateway"] = PermissionDeniedError("gateways are forbidden\nask", status=403)
    found = look(kube, "n", None)
    assert (found.ready, found.unseen) == (True, ("Gateway: gateways are forbidden",)), "told, and not judged by"
    kube.refused["Pod"] = PermissionDeniedError("pods are forbidden\nask", status=403)
    found = look(kube, "n", None)
    assert (found.ready, found.unseen) == (False, ("Pod: pods are forbidden", "Gateway: gateways are forbidden"))
    assert "not seen  Pod: pods are forbidden" in shown(found)


def test_of_manifests_what_is_missing_is_told() -> None:
    keys = [Key("ray.io/v1", "RayCluster", "rc", "n"), Key("v1", "ConfigMap", "settings", "n")]
    found = look(Recorded(ray_cluster()), "n", keys)
    assert not found.ready
    row = found.objects[0]
    assert (row.kind, row.state, row.why) == ("ConfigMap", "unknown", "is not there")
    assert "nothing of the platform is here" in shown(look(Recorded(), "n", None))
    assert not look(Recorded(), "n", None).ready


def test_manifests_are_looked_for_where_they_are_and_not_where_the_context_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []

    def look_at(kube: Any, namespace: str, keys: list[Key] | None) -> Board:
        looked.append(namespace)
        return board(Snapshot.of([]), keys or [], namespace)

    objects = [{"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}} for kind in ("Namespace", "ConfigMap")]
    objects[1]["metadata"]["namespace"] = "tidegate"  # type: ignore[index]
    server = SimpleNamespace(server="s", is_namespaced=lambda api_version, kind: kind != "Namespace")
    monkeypatch.setattr(status, "connect", lambda *_: server)
    monkeypatch.setattr(status, "namespace_of", lambda _: "where-the-context-is")
    monkeypatch.setattr(status, "platform_namespace", lambda *_: "where-the-context-is")
    monkeypatch.setattr(status, "render", lambda *_: objects)
    monkeypatch.setattr(status, "look", look_at)
    parser = argparse.ArgumentParser()
    status.add_parser(parser.add_subparsers())
    for argv in (["status", "dev"], ["status"]):
        options = parser.parse_args(argv)
        options.run(options)
    assert looked == ["tidegate", "where-the-context-is"]


def test_json_is_the_whole_board() -> None:
    out = io.StringIO()
    show(look(Recorded(ray_cluster()), "n", None), "server", as_json=True, stream=out)
    read = json.loads(out.getvalue())
    assert read["ready"] is True
    assert read["groups"][1]["name"] == "w"


class Output(io.StringIO):
    """Text that a test can wait for; Ctrl-C is pressed when ``last`` has been written."""

    def __init__(self, last: str) -> None:
        super().__init__()
        self._last = last
        self._written = threading.Condition()

    def write(self, text: str) -> int:
        with self._written:
            done = super().write(text)
            self._written.notify_all()
        if self._last in text:
            raise KeyboardInterrupt
        return done

    def wait_for(self, text: str) -> None:
        with self._written:
            assert self._written.wait_for(lambda: text in self.getvalue(), timeout=10), self.getvalue()


def test_elsewhere_than_on_a_terminal_changes_are_lines() -> None:
    kube, out = Recorded(ray_cluster()), Output("nothing of the platform is here")
    deadline = time.monotonic() + 30
    codes: list[int] = []
    watching = threading.Thread(
        target=lambda: codes.append(watch_status(kube, "n", None, as_json=False, stream=out, deadline=deadline))
    )
    watching.start()
    out.wait_for("RayCluster rc: ready: head and 0 workers\n")
    kube.change("MODIFIED", ray_cluster(ready=False))
    out.wait_for("RayCluster rc: progressing: the head starts")
    before = out.getvalue().count("\n")
    kube.change("MODIFIED", ray_cluster(ready=False, resourceVersion="2"))
    kube.change("DELETED", ray_cluster(ready=False))
    watching.join()
    assert codes == [1]
    assert time.monotonic() < deadline, "Ctrl-C ends it, not the deadline"
    assert out.getvalue().count("\n") - before <= 4, "only what has changed is told"


def test_watching_tells_a_refusal_of_what_is_not_needed_and_does_not_judge_by_it() -> None:
    kube, out = Recorded(ray_cluster()), Output("RayCluster last: ready")
    kube.refused["Workload"] = PermissionDeniedError("workloads are forbidden", status=403)
    deadline = time.monotonic() + 30
    codes: list[int] = []
    watching = threading.Thread(
        target=lambda: codes.append(watch_status(kube, "n", None, as_json=False, stream=out, deadline=deadline))
    )
    watching.start()
    out.wait_for("not seen Workload: workloads are forbidden\n")
    out.wait_for("RayCluster rc: ready: head and 0 workers\n")
    kube.change("ADDED", ray_cluster(name="last"))
    watching.join()
    assert codes == [0]
