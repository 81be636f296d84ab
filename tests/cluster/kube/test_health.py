"""What recorded clusters say of their health, line by line, and cases that no recording has."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cluster.kube.health import Health, health, warnings
from cluster.kube.manifest import Key, Object, key_of
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
def test_health_over_time(recording: str, name: str, expected: str) -> None:
    told: list[str] = []
    for seconds, (change, obj), snapshot in snapshots(recording):
        if change == "DELETED" or obj["kind"] == "Event" or str(key_of(obj)) != name:
            continue
        found = snapshot.health(key_of(obj))
        line = f"{found.state}: {found.why.partition(':')[0]}"
        if not told or not told[-1].endswith(f" {line}"):
            told.append(f"{seconds:.1f} {line}")
    assert [_short(line) for line in told] == [line.strip() for line in expected.strip().splitlines()]


def _short(line: str) -> str:
    return line.partition(";")[0]


def test_why_names_the_cause_and_not_its_traceback() -> None:
    found = {}
    for _, (_, obj), snapshot in snapshots("23_rayservice_upgrade"):
        if obj["kind"] == "RayService":
            found[snapshot.health(key_of(obj)).state] = snapshot.health(key_of(obj)).why
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
        found = snapshot.health(key_of(obj))
        assert (found.state == "failed" and found.final) == bool(rules), (exchange["note"], found)
        if rules:
            refused += 1
            assert found.why.startswith("refused: ")
            assert found.why[-40:] in rules[-1], exchange["note"]
    assert refused == 47


def test_a_cluster_whose_pods_the_server_refuses_tells_the_servers_words() -> None:
    recording = json.loads((TRANSCRIPTS / "10_operator_warnings.json").read_text())
    exchange = next(each for each in recording["exchanges"] if each["note"].startswith("restartPolicy not known"))
    events = [{"kind": "Event", "metadata": {}, **event} for event in exchange["after"]["events"]]
    condition = {"type": "HeadPodReady", "status": "False", "reason": "HeadPodNotFound"}
    obj = {**exchange["request"]["body"], "status": {"conditions": [condition]}}
    found = Snapshot.of([obj, *events], NOW).health(key_of(obj))
    assert found.state == "failed"
    assert 'spec.restartPolicy: Unsupported value: "Sometimes"' in found.why
    assert len(warnings(events)) == 1, "names that differ at random make no new warning"


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


DEPLOYMENT = {"replicas": 2}
KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}


@pytest.mark.parametrize(
    ("obj", "state", "says"),
    [
        (an("v1", "ConfigMap"), "ready", ""),
        (
            an("v1", "ConfigMap", deletionTimestamp="t", finalizers=["f"]),
            "progressing",
            "is being deleted; waits for f",
        ),
        (an("apps/v1", "Deployment"), "progressing", "the controller manager has not looked"),
        (
            an("apps/v1", "Deployment", spec=DEPLOYMENT, status={"observedGeneration": 1}, generation=2),
            "progressing",
            "seen generation 1 of 2",
        ),
        (
            an("apps/v1", "Deployment", spec=DEPLOYMENT, status={"observedGeneration": 1, "updatedReplicas": 1}),
            "progressing",
            "1 of 2 replicas updated",
        ),
        (
            an(
                "apps/v1",
                "Deployment",
                spec=DEPLOYMENT,
                status={"observedGeneration": 1, "updatedReplicas": 2, "replicas": 3, "availableReplicas": 2},
            ),
            "progressing",
            "1 old replicas leave",
        ),
        (
            an(
                "apps/v1",
                "Deployment",
                spec=DEPLOYMENT,
                status={"observedGeneration": 1, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2},
            ),
            "ready",
            "2 of 2",
        ),
        (
            an(
                "apps/v1",
                "Deployment",
                spec=DEPLOYMENT,
                status={
                    "observedGeneration": 1,
                    "conditions": [condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out")],
                },
            ),
            "failed",
            "timed out",
        ),
        (
            an("apps/v1", "StatefulSet", spec={"replicas": 1}, status={"observedGeneration": 1, "readyReplicas": 0}),
            "progressing",
            "0 of 1 replicas ready",
        ),
        (
            an(
                "apps/v1",
                "StatefulSet",
                spec={"replicas": 1},
                status={
                    "observedGeneration": 1,
                    "readyReplicas": 1,
                    "currentRevision": "a",
                    "updateRevision": "b",
                },
            ),
            "progressing",
            "0 of 1 replicas updated",
        ),
        (
            an(
                "v1",
                "Pod",
                status={
                    "phase": "Pending",
                    "conditions": [
                        condition("PodScheduled", "False", "Unschedulable", "0/3 nodes: no gpu. preemption: x")
                    ],
                },
            ),
            "progressing",
            "Unschedulable: 0/3 nodes: no gpu",
        ),
        (
            an(
                "v1",
                "Pod",
                status={
                    "phase": "Pending",
                    "containerStatuses": [
                        container({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})
                    ],
                },
            ),
            "failed",
            "c: ImagePullBackOff: no such image",
        ),
        (
            an(
                "v1",
                "Pod",
                status={
                    "phase": "Running",
                    "containerStatuses": [
                        container({"waiting": {"reason": "CrashLoopBackOff"}}, restarts=5, last=KILLED)
                    ],
                },
            ),
            "failed",
            "c: crash loop, 5 restarts, last exit 137 (OOMKilled)",
        ),
        (
            an(
                "v1",
                "Pod",
                status={
                    "phase": "Running",
                    "conditions": [condition("Ready", "True")],
                    "containerStatuses": [container({"running": {}}, ready=True, restarts=1, last=KILLED)],
                },
            ),
            "ready",
            "c: 1 restart, last exit 137 (OOMKilled)",
        ),
        (
            an("v1", "PersistentVolumeClaim", status={"phase": "Pending"}),
            "progressing",
            "storage class (the default)",
        ),
        (an("v1", "PersistentVolumeClaim", status={"phase": "Lost"}), "failed", "its volume is gone"),
        (
            an(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                status={"conditions": [condition("ScalingActive", "False", "FailedGetResourceMetric", "no metrics")]},
            ),
            "failed",
            "FailedGetResourceMetric: no metrics",
        ),
        (
            an(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                spec={"minReplicas": 1, "maxReplicas": 1},
                status={"conditions": [condition("ScalingActive", "False", "FailedGetResourceMetric", "no metrics")]},
            ),
            "ready",
            "held at 1 replica, whatever its metrics say",
        ),
        (
            an(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                spec={"minReplicas": 1, "maxReplicas": 1},
                status={"conditions": [condition("AbleToScale", "False", "FailedGetScale", "no such deployment")]},
            ),
            "failed",
            "FailedGetScale: no such deployment",
        ),
        (
            an(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                spec={"maxReplicas": 4},
                status={"conditions": [condition("ScalingLimited", "True", "TooManyReplicas")]},
            ),
            "ready",
            "at its most, 4 replicas",
        ),
        (
            an(
                "policy/v1",
                "PodDisruptionBudget",
                status={"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 2},
            ),
            "progressing",
            "1 of 2 pods healthy",
        ),
        (
            an(
                "kueue.x-k8s.io/v1beta2",
                "Workload",
                status={"conditions": [condition("QuotaReserved", "False", "Pending", "insufficient quota for cpu")]},
            ),
            "progressing",
            "insufficient quota for cpu",
        ),
        (
            an(
                "kueue.x-k8s.io/v1beta2",
                "LocalQueue",
                status={"conditions": [condition("Active", "False", "ClusterQueueDoesNotExist", "no cluster queue")]},
            ),
            "failed",
            "ClusterQueueDoesNotExist: no cluster queue",
        ),
        (
            an(
                "gateway.networking.k8s.io/v1",
                "Gateway",
                status={
                    "conditions": [condition("Accepted", "Unknown", "Pending"), condition("Programmed", "Unknown")]
                },
            ),
            "progressing",
            "has not looked at it yet",
        ),
        (
            an(
                "gateway.networking.k8s.io/v1",
                "HTTPRoute",
                status={
                    "parents": [
                        {
                            "parentRef": {"name": "g"},
                            "conditions": [
                                condition("Accepted", "True"),
                                condition("ResolvedRefs", "False", "BackendNotFound", "no service s"),
                            ],
                        }
                    ]
                },
            ),
            "failed",
            "gateway g: ResolvedRefs is not true: BackendNotFound: no service s",
        ),
        (an("v1", "Service", spec={"type": "LoadBalancer"}), "progressing", "waits for its load balancer's address"),
        (
            an("ray.io/v1", "RayJob", status={"jobDeploymentStatus": "Suspended"}),
            "progressing",
            "a queue has not admitted it",
        ),
        (
            an(
                "ray.io/v1",
                "RayService",
                status={"conditions": [condition("Ready", "False", "InitializingTimeout", "took too long")]},
            ),
            "failed",
            "took too long",
        ),
    ],
)
def test_states(obj: Object, state: str, says: str) -> None:
    found = health(obj)
    assert found.state == state
    assert says in found.why


def test_an_object_that_nobody_looks_at_is_not_on_its_way() -> None:
    created = (NOW - timedelta(seconds=300)).isoformat()
    obj = an("ray.io/v1", "RayCluster", creationTimestamp=created)
    found = Snapshot.of([obj], NOW).health(key_of(obj))
    assert found == Health("unknown", "no status after 300 s; does the KubeRay operator run?")
    assert Snapshot.of([], NOW).health(Key("v1", "Pod", "gone", "n")).state == "unknown"


def test_a_failed_pod_fails_its_owner_and_one_that_leaves_does_not() -> None:
    owner = an(
        "apps/v1",
        "Deployment",
        spec={"replicas": 1, "selector": {"matchLabels": {"a": "b"}}},
        status={"observedGeneration": 1, "updatedReplicas": 1, "replicas": 1},
    )
    broken = {"phase": "Pending", "containerStatuses": [container({"waiting": {"reason": "ErrImagePull"}})]}
    pod = an("v1", "Pod", status=broken, labels={"a": "b", "c": "d"}, uid="1")
    found = Snapshot.of([owner, pod], NOW).health(key_of(owner))
    assert (found.state, found.why) == ("failed", "0 of 1 replicas available: x: c: ErrImagePull: ")
    pod["metadata"]["deletionTimestamp"] = NOW.isoformat()
    assert Snapshot.of([owner, pod], NOW).health(key_of(owner)).state == "progressing"


def test_a_job_that_cannot_be_submitted_says_why() -> None:
    spec, status = {"clusterSelector": {"ray.io/cluster": "rc"}}, {"jobDeploymentStatus": "Running"}
    obj = an("ray.io/v1", "RayJob", spec=spec, status=status | {"rayClusterName": "rc"})
    waiting = container({"waiting": {"reason": "ImagePullBackOff", "message": "no image"}})
    pod = an("v1", "Pod", status={"phase": "Pending", "containerStatuses": [waiting]}, labels={"job-name": "x"})
    pod["metadata"]["name"] = "x-hlk4c"
    other = an("v1", "Pod", status={"phase": "Pending"}, labels={"ray.io/cluster": "rc"})
    found = Snapshot.of([obj, pod, other], NOW).health(key_of(obj))
    why = "submitted; the job has no state yet: x-hlk4c: c: ImagePullBackOff: no image"
    assert found == Health("progressing", why)
    obj["status"]["jobStatus"] = "RUNNING"
    assert Snapshot.of([obj, pod], NOW).health(key_of(obj)).why == "RUNNING"


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
def test_a_worker_that_lacks_only_a_proxy_runs(training: Object, state: str, says: str) -> None:
    found = cluster_with(SERVING, training).health(CLUSTER)
    assert (found.state, found.why) == (state, says)


def test_where_no_pod_is_known_the_operators_count_of_those_that_run_tells() -> None:
    assert cluster_with(available=1).health(CLUSTER).why == "1 of 2 workers ready"


def test_a_head_must_be_ready_whatever_its_workers_are() -> None:
    training = ray_pod("training", RUNNING)
    assert cluster_with(SERVING, training, head="False").health(CLUSTER).state == "progressing"
    training["metadata"]["labels"]["ray.io/node-type"] = "head"
    assert cluster_with(SERVING, training).health(Key("v1", "Pod", "training", "n")).state == "progressing"


def test_that_workers_run_is_not_that_the_service_answers() -> None:
    """``up`` waits for the RayService: its cluster may be ready before, with no proxy anywhere."""
    snapshot = cluster_with(ray_pod("serving", RUNNING), wanted=1)
    status = {
        "activeServiceStatus": {"rayClusterName": "rc", "applicationStatuses": {"gateway": {"status": "RUNNING"}}},
        "conditions": [condition("Ready", "False", "ZeroServeEndpoints", "no endpoint")],
    }
    service = an("ray.io/v1", "RayService", status=status)
    snapshot.objects[key_of(service)] = service
    assert snapshot.health(CLUSTER).state == "ready"
    assert snapshot.health(key_of(service)) == Health("progressing", "ZeroServeEndpoints: no endpoint")


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
    assert Snapshot.of([obj, event], NOW).health(key_of(obj)).state == "progressing"
    about["uid"] = "new"
    assert Snapshot.of([obj, event], NOW).health(key_of(obj)) == Health("failed", "refused: min > max", final=True)


def test_events_of_both_apis_read_alike() -> None:
    core = json.loads((TRANSCRIPTS / "10_operator_warnings.json").read_text())["same_events_as_core_v1"]
    read = warnings(each if "kind" in each else {"kind": "Event", **each} for each in core)
    assert read
    assert all(event.name and event.text and event.reason for event in read)
