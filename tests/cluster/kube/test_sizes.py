"""Sizes of an overlay in pods, CPU, memory and storage."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from cluster.kube.demand import pods_of, requests_of
from cluster.kube.manifest import Object
from cluster.kube.quantities import parse
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


def test_an_init_container_counts_where_it_requests_more() -> None:
    sidecar = {"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}
    starter = {"resources": {"requests": {"cpu": "3"}}}
    main = {"resources": {"limits": {"cpu": "1", "memory": "2Gi"}}}  # without requests it requests its limits
    spec = {"containers": [main], "initContainers": [starter, sidecar]}
    assert requests_of(spec) == {"cpu": Fraction(3), "memory": Fraction(2**31)}


def test_an_autoscaler_of_kubernetes_sets_the_count_of_its_deployment() -> None:
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "m"},
        "spec": {"replicas": 1, "template": pod("1", "1Gi")},
    }
    bounds = {"scaleTargetRef": {"name": "m"}, "minReplicas": 2, "maxReplicas": 4}
    scaler = {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "m"}, "spec": bounds}
    assert [(each.count, each.most) for each in pods_of([deployment, scaler])] == [(2, 4)]


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", Fraction(1, 2)), ("1.5", Fraction(3, 2)), ("2Gi", 2**31), ("1e3", 1000), ("1E", 10**18), (4, 4)],
)
def test_quantities(text: Any, value: Fraction | int) -> None:
    assert parse(text) == value


@pytest.mark.parametrize("text", ["", "1 Gi", "1GiB", "Gi", "1e", "½", True, None])
def test_no_quantities(text: Any) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        parse(text)
