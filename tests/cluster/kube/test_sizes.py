"""Sizes of an overlay in pods, CPU, memory and storage."""

from __future__ import annotations

from typing import Any

from cluster.kube.manifest import Object
from cluster.kube.sizes import cells, sizes


def pod(cpu: str, memory: str, gpus: int = 0) -> Object:
    requests: dict[str, Any] = {"cpu": cpu, "memory": memory} | ({"nvidia.com/gpu": gpus} if gpus else {})
    return {"spec": {"containers": [{"name": "one", "resources": {"requests": requests}}]}}


def claim(name: str, storage: str) -> Object:
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"resources": {"requests": {"storage": storage}}},
    }


def test_lines_and_sums() -> None:
    cluster = {
        "enableInTreeAutoscaling": True,
        "headGroupSpec": {"template": pod("1", "8Gi")},
        "workerGroupSpecs": [
            {"groupName": "a", "minReplicas": 1, "maxReplicas": 4, "template": pod("2", "6Gi")},
            {"groupName": "b", "minReplicas": 0, "maxReplicas": 2, "template": pod("4", "24Gi", 8)},
        ],
    }
    rendered: list[Object] = [
        claim("shared", "100Gi"),
        {
            "kind": "StatefulSet",
            "metadata": {"name": "store"},
            "spec": {"replicas": 2, "template": pod("500m", "2Gi"), "volumeClaimTemplates": [claim("data", "20Gi")]},
        },
        {"kind": "RayService", "metadata": {"name": "ray"}, "spec": {"rayClusterConfig": cluster}},
    ]
    assert [cells(each) for each in sizes(rendered)] == [
        ("StatefulSet store", "2", "0.5", "2Gi", "", "20Gi"),
        ("Ray head", "1", "1.5", "8.5Gi", "", ""),
        ("Ray group a", "1 to 4", "2", "6Gi", "", ""),
        ("Ray group b", "0 to 2", "4", "24Gi", "8", ""),
        ("volume shared", "", "", "", "", "100Gi"),
        ("at least", "4", "4.5", "18.5Gi", "", "140Gi"),
        ("at most", "9", "18.5", "84.5Gi", "16", "140Gi"),
    ]
