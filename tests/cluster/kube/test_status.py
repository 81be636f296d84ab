"""The report of ``status`` on recorded clusters."""

from __future__ import annotations

import io
import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.kube.errors import MissingKindError, PermissionDeniedError
from cluster.kube.manifest import Key, Object
from cluster.kube.snapshot import PART_OF, Snapshot
from cluster.kube.status_report import Row, StatusReport, status_report
from cluster.kube.verbs import status
from cluster.kube.verbs.status import observe_once, show, watch_status
from tests.cluster.kube.conftest import tidegate_kube
from tests.cluster.kube.recorded import Recorded, snapshot_at
from tests.cluster.kube.test_readiness import CLUSTER, NOW, RUNNING, cluster_with, ray_pod


def report_at(recording: str, seconds: float, *kinds: str) -> StatusReport:
    snapshot = snapshot_at(recording, seconds)
    return status_report(snapshot, [key for key in snapshot.objects if key.kind in kinds], "demo")


def rows(found: StatusReport, kind: str) -> list[Row]:
    return [row for row in found.rows if row.kind == kind]


def group(found: StatusReport, name: str) -> Row:
    (row,) = [row for row in rows(found, "Ray group") if row.name == name]
    return row


def shown(found: StatusReport) -> str:
    out = io.StringIO()
    show(found, "https://recorded:6443", as_json=False, stream=out)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_deploy_failed_application_is_not_ready_although_its_condition_is_true() -> None:
    found = report_at("23_rayservice_upgrade", 70.0, "RayService", "Service")
    assert not found.ready
    lines = shown(found).splitlines()
    assert lines[0] == "not ready  1 failed, 6 ready  (namespace demo, https://recorded:6443)"
    first = next(line for line in lines if line.startswith("RayService sv"))
    assert lines.index(first) == 3, "what is wrong comes first"
    assert first.endswith("failed with exception: ModuleNotFoundError: No module named 'nosuch'")
    (application,) = rows(found, "application")
    assert (application.name, application.state) == ("sv-w6t2g/a", "failed")
    assert application.why.startswith("DEPLOY_FAILED; ")
    assert [(row.reason, row.count) for row in found.warnings] == [("FailedToUpdateServeApplications", 2)]


def test_an_upgrade_shows_both_clusters_and_which_one_answers() -> None:
    found = report_at("23_rayservice_upgrade", 40.0, "RayService")
    assert [(row.kind, row.name, row.state) for row in found.rows] == [
        ("RayCluster", "sv-w6t2g", "progressing"),
        ("RayService", "sv", "progressing"),
        ("Pod", "sv-w6t2g-head-88sfs", "progressing"),
        ("Ray group", "sv-w6t2g/head", "progressing"),
        ("RayCluster", "sv-f5l4z", "ready"),
        ("Ray group", "sv-f5l4z/head", "ready"),
    ]
    assert "; sv-f5l4z still answers" in found.rows[1].why


def test_groups_have_ready_and_wanted_workers() -> None:
    growing = group(report_at("24_autoscaler_v2", 48.74, "RayCluster"), "au/w")
    assert (growing.state, growing.why) == (
        "progressing",
        "1 of 2 ready, 0 to 2 replicas",
    )
    shrinking = group(report_at("24_autoscaler_v2", 89.2, "RayCluster"), "au/w")
    assert shrinking.why.startswith("0 of 0 ready, 2 named to leave, ")
    fixed = group(report_at("20_raycluster_lifecycle", 26.6, "RayCluster"), "rc/w")
    assert fixed.why == "1 of 1 ready, fixed: no autoscaler"


def test_unschedulable_pods_are_not_repeated_as_warnings() -> None:
    found = report_at("21_rayjob_success", 0.5, "RayJob")
    assert [(row.name.split("-")[-2], row.why) for row in rows(found, "Pod")] == [
        ("head", "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu"),
        ("worker", "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu"),
    ]
    assert found.warnings == (), "they say what the rows say"
    later = report_at("21_rayjob_success", 38.0, "RayJob")
    assert [(row.about, row.count) for row in later.warnings] == [("Pod job-ok-xqwzw-w-worker-bxkjz and 1 more", 2)]
    assert later.ready, "a job that runs makes the platform neither ready nor not"


def test_training_pod_does_not_make_the_report_not_ready() -> None:
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
    found = status_report(snapshot, [CLUSTER], "n")
    assert (found.ready, rows(found, "Pod"), found.warnings) == (True, [], ())
    assert [(row.name, row.why) for row in rows(found, "Ray group")[1:]] == [
        ("rc/serving", "1 of 1 ready, fixed: no autoscaler"),
        ("rc/training", "1 of 1 ready, 1 without a Serve proxy, fixed: no autoscaler"),
    ]
    training["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    found = status_report(snapshot, [CLUSTER], "n")
    assert (found.ready, [row.name for row in rows(found, "Pod")]) == (False, ["training"])
    assert group(found, "rc/training").why.startswith("0 of 1 ready")
    assert [row.reason for row in found.warnings] == ["Unhealthy"]


def managed(*managers: tuple[str, str]) -> list[dict[str, Any]]:
    fields: dict[str, Any] = {"f:spec": {"f:workerGroupSpecs": {}}}
    return [{"manager": manager, "time": time, "fieldsV1": fields} for manager, time in managers]


@pytest.mark.parametrize(
    ("managers", "asked_by"),
    [
        ([], ""),
        ([("tidegate", "2026-01-01")], ", last set by tidegate"),
        ([("tidegate", "2026-01-01"), ("python-requests", "2026-01-02")], ", last set by the autoscaler"),
        ([("tidegate", "2026-01-03"), ("python-requests", "2026-01-02")], ", last set by tidegate"),
    ],
)
def test_latest_writer_of_the_replicas_is_named(managers: list[tuple[str, str]], asked_by: str) -> None:
    cluster = ray_cluster()
    cluster["metadata"]["managedFields"] = managed(*managers)
    cluster["spec"]["enableInTreeAutoscaling"] = True
    found = status_report(Snapshot.of([cluster]), [Key("ray.io/v1", "RayCluster", "rc", "n")], "n")
    assert group(found, "rc/w").why == f"0 of 0 ready, 0 or more replicas{asked_by}"


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


def test_kinds_that_cannot_be_seen_are_reported() -> None:
    other = {**ray_cluster(), "metadata": {"name": "other", "namespace": "n"}}
    kube = Recorded(ray_cluster(), other)
    found = observe_once(kube, "n", None)
    assert [row.name for row in rows(found, "RayCluster")] == ["rc"]
    assert found.ready
    kube.refused["Gateway"] = MissingKindError("no such kind", status=404)
    assert observe_once(kube, "n", None).ready, "a kind that is not installed is not needed"
    kube.refused["Gateway"] = PermissionDeniedError("gateways are forbidden\nask", status=403)
    found = observe_once(kube, "n", None)
    assert (found.ready, found.not_seen) == (True, ("Gateway: gateways are forbidden",)), "and it is ready"
    kube.refused["Pod"] = PermissionDeniedError("pods are forbidden\nask", status=403)
    found = observe_once(kube, "n", None)
    assert (found.ready, found.not_seen) == (False, ("Pod: pods are forbidden", "Gateway: gateways are forbidden"))
    assert "not seen  Pod: pods are forbidden" in shown(found)


def test_missing_objects_of_manifests_are_reported() -> None:
    keys = [Key("ray.io/v1", "RayCluster", "rc", "n"), Key("v1", "ConfigMap", "settings", "n")]
    found = observe_once(Recorded(ray_cluster()), "n", keys)
    assert not found.ready
    row = found.rows[0]
    assert (row.kind, row.state, row.why) == ("ConfigMap", "unknown", "is not there")
    assert "no object of the platform" in shown(observe_once(Recorded(), "n", None))
    assert not observe_once(Recorded(), "n", None).ready


def test_namespace_of_the_manifests_counts_before_that_of_the_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []

    def observe(kube: Any, namespace: str, keys: list[Key] | None) -> StatusReport:
        looked.append(namespace)
        return status_report(Snapshot.of([]), keys or [], namespace)

    objects = [{"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}} for kind in ("Namespace", "ConfigMap")]
    objects[1]["metadata"]["namespace"] = "tidegate"  # type: ignore[index]
    server = SimpleNamespace(server="s", is_namespaced=lambda api_version, kind: kind != "Namespace")
    monkeypatch.setattr(status, "connect", lambda *_: server)
    monkeypatch.setattr(status, "namespace_of", lambda _: "where-the-context-is")
    monkeypatch.setattr(status, "platform_namespace", lambda *_: "where-the-context-is")
    monkeypatch.setattr(status, "render", lambda *_: objects)
    monkeypatch.setattr(status, "observe_once", observe)
    for argv in (["status", "dev"], ["status"]):
        tidegate_kube(*argv)
    assert looked == ["tidegate", "where-the-context-is"]


def test_json_is_the_whole_report() -> None:
    out = io.StringIO()
    show(observe_once(Recorded(ray_cluster()), "n", None), "server", as_json=True, stream=out)
    read = json.loads(out.getvalue())
    assert read["ready"] is True
    assert [row["name"] for row in read["rows"]] == ["rc/head", "rc", "rc/w"]


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


def test_watch_prints_changed_lines_without_a_terminal() -> None:
    kube, out = Recorded(ray_cluster()), Output("no object of the platform")
    codes: list[int] = []
    watching = threading.Thread(
        target=lambda: codes.append(watch_status(kube, "n", None, as_json=False, stream=out, every_s=0.02))
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
    assert out.getvalue().count("\n") - before <= 4, "only changed lines are printed"


def test_watch_reports_a_refused_kind_and_stays_ready() -> None:
    kube, out = Recorded(ray_cluster()), Output("RayCluster last: ready")
    kube.refused["Workload"] = PermissionDeniedError("workloads are forbidden", status=403)
    codes: list[int] = []
    watching = threading.Thread(
        target=lambda: codes.append(watch_status(kube, "n", None, as_json=False, stream=out, every_s=0.02))
    )
    watching.start()
    out.wait_for("not seen Workload: workloads are forbidden\n")
    out.wait_for("RayCluster rc: ready: head and 0 workers\n")
    kube.change("ADDED", ray_cluster(name="last"))
    watching.join()
    assert codes == [0]
