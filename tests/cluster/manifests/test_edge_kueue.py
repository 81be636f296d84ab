"""Under Kueue: what its webhook would refuse of a run (pkg/controller/jobs/rayjob), and the order of priorities."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cluster.kube.manifest import Object, load
from cluster.kube.render import render
from tests.support.components import CLUSTER, of

needs_base = pytest.mark.skipif(
    not (CLUSTER / "base/ray").is_dir(), reason="the overlay takes the cluster from cluster/base"
)


@cache
def rendered(overlay: str) -> dict[str, Object]:
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", CLUSTER / "overlays" / overlay],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {f"{obj['kind']} {obj['metadata']['name']}": obj for obj in load(done.stdout)}


def run() -> Object:
    (found,) = rendered("kueue-training-job").values()
    return found


def pods() -> list[dict[str, Any]]:
    spec = run()["spec"]
    cluster = spec["rayClusterSpec"]
    templates = [cluster["headGroupSpec"]["template"], *(group["template"] for group in cluster["workerGroupSpecs"])]
    return [template["spec"] for template in (*templates, spec["submitterPodTemplate"])]


@needs_base
def test_kueue_takes_the_run() -> None:
    """A cluster of its own that ends with it, is as large as it is, and has few groups, none of them named head."""
    spec = run()["spec"]
    cluster = spec["rayClusterSpec"]
    assert "clusterSelector" not in spec
    assert spec["shutdownAfterJobFinishes"] is True
    assert cluster["enableInTreeAutoscaling"] is False
    assert "autoscalerOptions" not in cluster
    assert [group["groupName"] for group in cluster["workerGroupSpecs"]] == ["training"]
    assert (
        len(
            {
                group[field]
                for group in cluster["workerGroupSpecs"]
                for field in ("replicas", "minReplicas", "maxReplicas")
            }
        )
        == 1
    )
    assert spec["suspend"] is True


@needs_base
def test_the_run_waits_in_a_queue_that_is_there_with_a_class_that_is_there() -> None:
    labels = run()["metadata"]["labels"]
    queue = of("kueue", "LocalQueue")[0]
    assert labels["kueue.x-k8s.io/queue-name"] == queue["metadata"]["name"]
    assert labels["kueue.x-k8s.io/priority-class"] in {
        each["metadata"]["name"] for each in of("kueue", "WorkloadPriorityClass")
    }
    assert queue["spec"]["clusterQueue"] == of("kueue", "ClusterQueue")[0]["metadata"]["name"]
    assert queue["metadata"]["namespace"] == run()["metadata"]["namespace"] == "tidegate"


@needs_base
def test_every_resource_that_the_run_asks_for_is_covered() -> None:
    """Kueue never admits a pod that asks for a resource of which the queue says nothing."""
    covered = {
        name
        for group in of("kueue", "ClusterQueue")[0]["spec"]["resourceGroups"]
        for name in group["coveredResources"]
    }
    asked = {name for pod in pods() for container in pod["containers"] for name in container["resources"]["requests"]}
    assert {"cpu", "memory"} <= asked <= covered


@needs_base
def test_a_run_keeps_the_hardening_of_the_platform_s_pods() -> None:
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


@needs_base
def test_kueue_run_has_no_volume_of_the_autoscaler() -> None:
    for pod in pods():
        mounted = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
        assert {volume["name"] for volume in pod["volumes"]} == mounted


def test_serving_has_priority_over_training_in_kueue_and_scheduler() -> None:
    for kind in ("WorkloadPriorityClass", "PriorityClass"):
        value = {each["metadata"]["name"]: each["value"] for each in of("kueue", kind)}
        assert value["tidegate-serving"] > value["tidegate-training"]
    training = of("kueue", "PriorityClass", "tidegate-training")[0]
    assert training["preemptionPolicy"] == "Never"
    assert training["value"] < 0, "pods without a class have 0"
    assert of("kueue", "ClusterQueue")[0]["spec"]["preemption"] == {"withinClusterQueue": "LowerPriority"}


@needs_base
def test_serving_cluster_has_no_training_group_and_higher_priority() -> None:
    platform = rendered("kueue")
    cluster = platform["RayService tidegate"]["spec"]["rayClusterConfig"]
    groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    assert groups["training"]["maxReplicas"] == groups["training"]["replicas"] == 0
    assert groups["serving"]["maxReplicas"] > 0
    classes = {name: group["template"]["spec"]["priorityClassName"] for name, group in groups.items()}
    assert classes == {"serving": "tidegate-serving", "training": "tidegate-training"}
    for name in ("StatefulSet tidegate-redis", "Deployment tidegate-mlflow"):
        assert platform[name]["spec"]["template"]["spec"]["priorityClassName"] == "tidegate-serving"


@needs_base
@pytest.mark.parametrize("name", ["kueue", "gpu+kueue", "kueue+gpu", "mesh+kueue+ha+gpu", "kueue+dev"])
def test_no_group_trains_past_the_queue_and_each_has_its_class(name: str) -> None:
    (service,) = (obj for obj in render(name) if obj["kind"] == "RayService")
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert len(groups) == (4 if "gpu" in name else 2)
    for group in groups:
        purpose = group["labels"]["tidegate/purpose"]
        assert group["template"]["spec"]["priorityClassName"] == f"tidegate-{purpose}", group["groupName"]
        assert (group["maxReplicas"] == 0) is (purpose == "training"), group["groupName"]


@needs_base
def test_platform_objects_have_no_queue_label() -> None:
    """Kueue suspends what is; and refuses in-tree autoscaling, which the RayService lives by."""
    assert not any(
        "kueue.x-k8s.io/queue-name" in obj["metadata"].get("labels", {}) for obj in rendered("kueue").values()
    )


@needs_base
def test_every_pod_of_ours_is_in_the_mesh_and_can_end() -> None:
    found = 0
    for overlay in ("mesh", "kueue-training-job"):
        for obj in rendered(overlay).values():
            for template in templates(obj):
                found += 1
                where = f"{obj['kind']} {obj['metadata']['name']}"
                assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == "true", where
                assert template["metadata"]["annotations"]["sidecar.istio.io/nativeSidecar"] == "true", where
    assert found >= 8


def templates(obj: Object) -> list[dict[str, Any]]:
    """The pod templates of a workload of ours."""
    spec = obj.get("spec", {})
    match obj["kind"]:
        case "RayService" | "RayJob":
            cluster = spec.get("rayClusterConfig") or spec["rayClusterSpec"]
            groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
            return [group["template"] for group in groups] + [
                spec[name] for name in ("submitterPodTemplate",) if name in spec
            ]
        case "Deployment" | "StatefulSet":
            return [spec["template"]]
    return []
