"""Readiness of recorded clusters, line by line, and of cases that no recording has."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.readiness import Readiness, readiness, warning_events
from cluster.kube.snapshot import Snapshot
from tests.cluster.kube.recorded import snapshots
from tests.cluster.recordings import TRANSCRIPTS

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("recording", "name", "expected"),
    [
        (
            "20_raycluster_lifecycle",
            "RayCluster demo/rc",
            """
            0.0 progressing: the KubeRay operator has not looked at it yet
            0.1 progressing: the head starts
            22.5 progressing: 0 of 1 worker ready
            26.5 ready: head and 1 worker
            26.6 progressing: its controller has seen generation 1 of 2
            26.7 progressing: 1 of 2 workers ready
            44.9 progressing: its controller has seen generation 2 of 3
            45.0 progressing: 0 of 1 worker ready
            46.0 progressing: its controller has seen generation 3 of 4
            46.0 progressing: is being suspended
            77.7 progressing: suspended
            77.9 progressing: is being deleted
            """,
        ),
        (
            "21_rayjob_success",
            "RayJob demo/job-ok",
            """
            0.0 progressing: the KubeRay operator has not looked at it yet
            0.0 progressing: Initializing
            27.4 progressing: submitted
            34.5 progressing: PENDING
            37.5 progressing: RUNNING
            43.5 progressing: SUCCEEDED
            47.5 ready: Job finished successfully.
            54.7 progressing: is being deleted
            """,
        ),
        (
            "22_rayjob_failure_httpmode",
            "RayJob demo/job-bad",
            """
            0.7 progressing: the KubeRay operator has not looked at it yet
            0.7 progressing: Initializing
            16.8 progressing: submitted
            17.6 progressing: PENDING
            20.7 failed: AppFailed
            21.0 progressing: is being deleted
            """,
        ),
        (
            "23_rayservice_upgrade",
            "RayService demo/sv",
            """
            0.6 progressing: the KubeRay operator has not looked at it yet
            0.7 progressing: cluster sv-f5l4z starts
            29.3 progressing: Initializing
            29.3 ready: 1 application, 1 endpoint on sv-f5l4z
            29.3 progressing: its controller has seen generation 2 of 3
            29.4 progressing: cluster sv-w6t2g starts
            55.8 ready: 1 application, 1 endpoint on sv-w6t2g
            59.2 progressing: its controller has seen generation 3 of 4
            59.2 ready: 1 application, 1 endpoint on sv-w6t2g
            61.4 progressing: application a
            67.5 failed: application a
            84.2 progressing: is being deleted
            """,
        ),
        (
            "24_autoscaler_v2",
            "RayCluster demo/au",
            """
            0.0 progressing: the KubeRay operator has not looked at it yet
            0.3 progressing: the head starts
            16.7 ready: head and 0 workers
            23.2 progressing: its controller has seen generation 1 of 2
            23.3 progressing: 0 of 2 workers ready
            48.7 progressing: 1 of 2 workers ready
            48.8 ready: head and 2 workers
            89.1 progressing: its controller has seen generation 2 of 3
            89.1 ready: head and 0 workers
            89.5 progressing: its controller has seen generation 3 of 4
            """,
        ),
    ],
)
def test_readiness_over_time(recording: str, name: str, expected: str) -> None:
    states: list[str] = []
    for seconds, (change, obj), snapshot in snapshots(recording):
        if change == "DELETED" or obj["kind"] == "Event" or str(key_of(obj)) != name:
            continue
        found = snapshot.readiness(key_of(obj))
        line = f"{found.state}: {found.why.partition(':')[0]}"
        if not states or not states[-1].endswith(f" {line}"):
            states.append(f"{seconds:.1f} {line}")
    assert [_short(line) for line in states] == [line.strip() for line in expected.strip().splitlines()]


def _short(line: str) -> str:
    return line.partition(";")[0]


def test_failed_application_quotes_the_error_without_its_traceback() -> None:
    found = {}
    for _, (_, obj), snapshot in snapshots("23_rayservice_upgrade"):
        if obj["kind"] == "RayService":
            found[snapshot.readiness(key_of(obj)).state] = snapshot.readiness(key_of(obj)).why
    assert "ModuleNotFoundError: No module named 'nosuch'" in found["failed"]
    assert "Traceback" not in found["failed"]


def test_the_operators_refusals() -> None:
    """47 of the 51 objects that the API server took are refused: each kind has its sign, and the rule's words."""
    recording = json.loads((TRANSCRIPTS / "10_operator_warnings.json").read_text())
    refused = 0
    for exchange in recording["exchanges"]:
        sent = exchange["request"]["body"]
        if exchange["response"]["status"] != 201 or sent["kind"] == "RayCronJob":
            continue
        events = [
            {"kind": "Event", "metadata": {"name": str(index)}, **event}
            for index, event in enumerate(exchange["after"]["events"])
        ]
        rules = [event["note"] for event in events if event["reason"].startswith("Invalid")]
        obj = {**sent, "status": exchange["after"]["object_status"]}
        snapshot = Snapshot.of([obj, *events], NOW)
        found = snapshot.readiness(key_of(obj))
        assert (found.state == "failed" and found.final) == bool(rules), (exchange["note"], found)
        if rules:
            refused += 1
            assert found.why.startswith("refused: ")
            assert found.why[-40:] in rules[-1], exchange["note"]
    assert refused == 47


def test_cluster_whose_pods_are_refused_quotes_the_server() -> None:
    recording = json.loads((TRANSCRIPTS / "10_operator_warnings.json").read_text())
    exchange = next(each for each in recording["exchanges"] if each["note"].startswith("restartPolicy not known"))
    events = [{"kind": "Event", "metadata": {}, **event} for event in exchange["after"]["events"]]
    condition = {"type": "HeadPodReady", "status": "False", "reason": "HeadPodNotFound"}
    obj = {**exchange["request"]["body"], "status": {"conditions": [condition]}}
    found = Snapshot.of([obj, *events], NOW).readiness(key_of(obj))
    assert found.state == "failed"
    assert 'spec.restartPolicy: Unsupported value: "Sometimes"' in found.why
    assert len(warning_events(events)) == 1, "names that differ at random make no new warning"


def an(api_version: str, kind: str, *, spec: Any = None, status: Any = None, **metadata: Any) -> Object:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "x", "namespace": "n", **metadata},
        "spec": spec or {},
        "status": status or {},
    }


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def container(state: dict[str, Any], *, ready: bool = False, restarts: int = 0, last: Any = None) -> dict[str, Any]:
    return {"name": "c", "state": state, "ready": ready, "restartCount": restarts, "lastState": last or {}}


KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
CASES = yaml.safe_load((Path(__file__).parent / "readiness.yaml").read_text())


@pytest.mark.parametrize(("case", "fields"), CASES, ids=[f"{case['kind']} {case['why']}" for case, _ in CASES])
def test_state_of_each_kind(case: dict[str, str], fields: dict[str, Any]) -> None:
    fields = dict(fields)
    metadata = fields.pop("metadata", {})
    api_version, kind = case["kind"].split()
    found = readiness(an(api_version, kind, **fields, **metadata))
    assert found.state == case["state"]
    assert case["why"] in found.why


def test_old_object_without_a_status_is_unknown() -> None:
    created = (NOW - timedelta(seconds=300)).isoformat()
    obj = an("ray.io/v1", "RayCluster", creationTimestamp=created)
    found = Snapshot.of([obj], NOW).readiness(key_of(obj))
    assert found == Readiness("unknown", "no status after 300 s; does the KubeRay operator run?")
    assert Snapshot.of([], NOW).readiness(Key("v1", "Pod", "gone", "n")).state == "unknown"


def test_failed_pod_fails_its_owner_unless_it_is_being_deleted() -> None:
    owner = an(
        "apps/v1",
        "Deployment",
        spec={"replicas": 1, "selector": {"matchLabels": {"a": "b"}}},
        status={"observedGeneration": 1, "updatedReplicas": 1, "replicas": 1},
    )
    broken = {"phase": "Pending", "containerStatuses": [container({"waiting": {"reason": "ErrImagePull"}})]}
    pod = an("v1", "Pod", status=broken, labels={"a": "b", "c": "d"}, uid="1")
    found = Snapshot.of([owner, pod], NOW).readiness(key_of(owner))
    assert (found.state, found.why) == ("failed", "0 of 1 replicas available: x: c: ErrImagePull: ")
    pod["metadata"]["deletionTimestamp"] = NOW.isoformat()
    assert Snapshot.of([owner, pod], NOW).readiness(key_of(owner)).state == "progressing"


def test_a_job_that_cannot_be_submitted_says_why() -> None:
    spec, status = {"clusterSelector": {"ray.io/cluster": "rc"}}, {"jobDeploymentStatus": "Running"}
    obj = an("ray.io/v1", "RayJob", spec=spec, status=status | {"rayClusterName": "rc"})
    waiting = container({"waiting": {"reason": "ImagePullBackOff", "message": "no image"}})
    pod = an("v1", "Pod", status={"phase": "Pending", "containerStatuses": [waiting]}, labels={"job-name": "x"})
    pod["metadata"]["name"] = "x-hlk4c"
    other = an("v1", "Pod", status={"phase": "Pending"}, labels={"ray.io/cluster": "rc"})
    found = Snapshot.of([obj, pod, other], NOW).readiness(key_of(obj))
    why = "submitted; the job has no state yet: x-hlk4c: c: ImagePullBackOff: no image"
    assert found == Readiness("progressing", why)
    obj["status"]["jobStatus"] = "RUNNING"
    assert Snapshot.of([obj, pod], NOW).readiness(key_of(obj)).why == "RUNNING"


PROXY = {"httpGet": {"path": "/-/healthz", "port": "serve"}}
AGENT = {"exec": {"command": ["bash", "-c", "wget http://localhost:52365/api/local_raylet_healthz"]}}
RUNNING = {"running": {"startedAt": (NOW - timedelta(seconds=60)).isoformat()}}
LONG_RUNNING = {"running": {"startedAt": (NOW - timedelta(hours=1)).isoformat()}}


def ray_pod(name: str, state: Any, *, probe: Any = PROXY, ready: bool = False, phase: str = "Running") -> Object:
    restarts = 0 if state == RUNNING else 3
    status = {
        "phase": phase,
        "conditions": [condition("PodScheduled", "True"), condition("Ready", str(ready))],
        "containerStatuses": [container(state, ready=ready, restarts=restarts, last=KILLED if restarts else None)],
    }
    labels = {"ray.io/cluster": "rc", "ray.io/group": name, "ray.io/node-type": "worker"}
    spec = {"containers": [{"name": "c", "readinessProbe": probe}]}
    return an("v1", "Pod", spec=spec, status=status) | {
        "metadata": {"name": name, "namespace": "n", "uid": name, "labels": labels}
    }


def cluster_with(*pods: Object, wanted: int = 2, available: int = 0, head: str = "True") -> Snapshot:
    status = {
        "conditions": [condition("HeadPodReady", head), condition("RayClusterProvisioned", "False")],
        "desiredWorkerReplicas": wanted,
        "readyWorkerReplicas": sum(each["status"]["conditions"][1]["status"] == "True" for each in pods),
        "availableWorkerReplicas": available,
    }
    groups = [{"groupName": name, "replicas": 1} for name in ("serving", "training")]
    obj = an("ray.io/v1", "RayCluster", spec={"workerGroupSpecs": groups}, status=status)
    return Snapshot.of([obj | {"metadata": {"name": "rc", "namespace": "n"}}, *pods], NOW)


CLUSTER = Key("ray.io/v1", "RayCluster", "rc", "n")
SERVING = ray_pod("serving", RUNNING, ready=True)


@pytest.mark.parametrize(
    ("training", "state", "says"),
    [
        (ray_pod("training", RUNNING), "ready", "head and 2 workers; 1 without a Serve proxy"),
        (ray_pod("training", LONG_RUNNING), "ready", "head and 2 workers; 1 without a Serve proxy"),
        (
            ray_pod("training", {"running": {"startedAt": NOW.isoformat()}}),
            "progressing",
            "1 of 2 workers ready: training: c not ready; c: 3 restarts, last exit 137 (OOMKilled)",
        ),
        (
            ray_pod("training", {"waiting": {"reason": "CrashLoopBackOff"}}),
            "failed",
            "1 of 2 workers ready: training: c: crash loop, 3 restarts, last exit 137 (OOMKilled)",
        ),
        (
            ray_pod("training", {"waiting": {"reason": "ImagePullBackOff", "message": "no image"}}, phase="Pending"),
            "failed",
            "1 of 2 workers ready: training: c: ImagePullBackOff: no image",
        ),
        (
            ray_pod("training", {"waiting": {"reason": "ContainerCreating"}}, phase="Pending"),
            "progressing",
            "1 of 2 workers ready: training: ContainerCreating",
        ),
        (
            ray_pod("training", RUNNING, probe=AGENT),
            "progressing",
            "1 of 2 workers ready: training: c not ready",
        ),
    ],
)
def test_worker_without_a_serve_proxy_counts_as_ready(training: Object, state: str, says: str) -> None:
    found = cluster_with(SERVING, training).readiness(CLUSTER)
    assert (found.state, found.why) == (state, says)


def test_operators_count_is_used_where_no_pod_is_seen() -> None:
    assert cluster_with(available=1).readiness(CLUSTER).why == "1 of 2 workers ready"


def test_a_head_must_be_ready_whatever_its_workers_are() -> None:
    training = ray_pod("training", RUNNING)
    assert cluster_with(SERVING, training, head="False").readiness(CLUSTER).state == "progressing"
    training["metadata"]["labels"]["ray.io/node-type"] = "head"
    assert cluster_with(SERVING, training).readiness(Key("v1", "Pod", "training", "n")).state == "progressing"


def test_ready_cluster_does_not_make_its_service_ready() -> None:
    """``up`` waits for the RayService: its cluster may be ready before, with no proxy anywhere."""
    snapshot = cluster_with(ray_pod("serving", RUNNING), wanted=1)
    status = {
        "activeServiceStatus": {"rayClusterName": "rc", "applicationStatuses": {"gateway": {"status": "RUNNING"}}},
        "conditions": [condition("Ready", "False", "ZeroServeEndpoints", "no endpoint")],
    }
    service = an("ray.io/v1", "RayService", status=status)
    snapshot.objects[key_of(service)] = service
    assert snapshot.readiness(CLUSTER).state == "ready"
    assert snapshot.readiness(key_of(service)) == Readiness("progressing", "ZeroServeEndpoints: no endpoint")


def test_events_of_an_object_that_had_this_name_before_are_not_its_own() -> None:
    obj = an("ray.io/v1", "RayCluster", uid="new")
    about = {"kind": "RayCluster", "name": "x", "uid": "old"}
    event = {
        "kind": "Event",
        "metadata": {"name": "e"},
        "type": "Warning",
        "reason": "InvalidRayClusterSpec",
        "note": "min > max",
        "regarding": about,
    }
    assert Snapshot.of([obj, event], NOW).readiness(key_of(obj)).state == "progressing"
    about["uid"] = "new"
    refused = Readiness("failed", "refused: min > max", final=True)
    assert Snapshot.of([obj, event], NOW).readiness(key_of(obj)) == refused


def test_terminating_head_is_not_ready_although_its_condition_is_true() -> None:
    head = ray_pod("head", RUNNING, ready=True)
    head["metadata"]["labels"]["ray.io/node-type"] = "head"
    workers = [ray_pod("serving", RUNNING, ready=True), ray_pod("training", RUNNING)]
    assert cluster_with(head, *workers).readiness(CLUSTER).state == "ready"
    head["metadata"]["deletionTimestamp"] = NOW.isoformat()
    found = cluster_with(head, *workers).readiness(CLUSTER)
    assert found == Readiness("progressing", "the head is being deleted")
