"""Values of ``--set`` that are refused, and the patches that the others become (their effect: test_render)."""

from __future__ import annotations

import json

import pytest

from cluster.kube.errors import UsageError
from cluster.kube.manifest import load
from cluster.kube.sets import changes
from tests.cluster.kube import tiny

OBJECTS = load(tiny.FILES["base/all.yaml"])
DIGEST = "sha256:" + "0" * 64


def refuse(warning: str) -> None:
    raise AssertionError(f"unexpected: {warning}")


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("replicas", "a value after = is missing"),
        ("replicas=3", "'replicas' is no known form; image="),
        ("image=tidegate", "NAME@sha256: and 64 hexadecimal digits, or NAME:TAG"),
        ("image=tidegate@sha256:00", "NAME@sha256: and 64"),
        ("image=registry.example:5000/tidegate", "NAME@sha256: and 64"),
        ("image=registry.example/tidegate:latest", "latest names another image tomorrow"),
        ("namespace=Tide_Gate", "small letters, digits and dashes"),
        ("TIDEGATE_GATEWAY_MAX_REPLICA=3", "no such setting; did you mean TIDEGATE_GATEWAY_MAX_REPLICAS?"),
        ("TIDEGATE_REDIS_TIMEOUT_S=-1", r"greater than 0 \(Deadline of one command, seconds\)"),
        ("TIDEGATE_REDIS_TIMEOUT_S=soon", "TIDEGATE_REDIS_TIMEOUT_S=soon: Input should be a valid number"),
        ("TIDEGATE_GATEWAY_MAX_REPLICAS=1", "min_replicas 2 is more than max_replicas 1"),
        ("TIDEGATE_REDIS_PASSWORD=hunter2", "reference a Secret"),
        ("TIDEGATE_GATEWAY_ADMIN_KEY=hunter2", "reference a Secret"),
        ("RAY_AUTH_TOKEN=hunter2", "reference a Secret"),
        ("TIDEGATE_REDIS_URL=redis://:hunter2@there:6379/0", "the address holds a password"),
        ("RayService/tidegate:/spec/x=1", "anything else is a kustomization of your own, as in cluster/README.md"),
        ("ConfigMap/tidegate-settings:/data/TIDEGATE_GATEWAY_MAX_REPLICAS=1", "is no known form"),
        ("MLFLOW_ARTIFACTS_DESTINATION=bucket", "an address such as s3://BUCKET/PATH"),
        ("MLFLOW_ARTIFACTS_DESTINATION=s3://b/a", "these manifests have no ConfigMap tidegate-mlflow"),
        ("serving.maxReplicas=many", "a whole number from 0 on"),
        ("serving.maxReplicas=-1", "a whole number from 0 on"),
        ("serving.maxReplicas=1", "minReplicas 2 is more than maxReplicas 1"),
        ("serving.minReplicas=5", "minReplicas 5 is more than maxReplicas 4"),
        ("serve.maxReplicas=3", "nothing is called 'serve'; there are serving"),
        ("serving.replicas=3", "is no known form"),
        ("job=b", "one RayJob is needed, and these manifests have 0"),
        ("job=A_b", "name 'A_b': a small letter, then"),
    ],
)
def test_a_value_that_cannot_be_honoured_is_refused(text: str, accepted: str) -> None:
    with pytest.raises(UsageError, match=accepted) as refused:
        changes([text], OBJECTS, refuse)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("value", ["5", "1e3", "true"])
def test_a_setting_stays_text(value: str) -> None:
    (patch,) = changes([f"RAY_X={value}"], OBJECTS, refuse).patches
    assert [each["value"] for each in json.loads(patch["patch"])] == [value]


def test_both_bounds_may_be_raised_above_the_old_ones() -> None:
    found = changes(["serving.maxReplicas=9", "serving.minReplicas=8"], OBJECTS, refuse)
    path = "/spec/rayClusterConfig/workerGroupSpecs/0"
    assert [json.loads(each["patch"])[0] for each in found.patches] == [
        {"op": "replace", "path": f"{path}/maxReplicas", "value": 9},
        {"op": "replace", "path": f"{path}/minReplicas", "value": 8},
    ]
    with pytest.raises(UsageError, match="minReplicas 8 is more than maxReplicas 4"):
        changes(["serving.minReplicas=8", "serving.maxReplicas=9"], OBJECTS, refuse)


def test_two_different_namespaces_are_refused() -> None:
    with pytest.raises(UsageError, match="namespace=a and --namespace b contradict"):
        changes(["namespace=a"], OBJECTS, refuse, "b")
    assert changes(["namespace=a"], OBJECTS, refuse, "a").namespace == "a"


def test_an_image_by_tag_is_taken_with_a_warning() -> None:
    warnings: list[str] = []
    found = changes(["image=registry.example:5000/a/tg:1.2"], OBJECTS, warnings.append)
    assert found.images == [{"name": "tidegate", "newName": "registry.example:5000/a/tg", "newTag": "1.2"}]
    assert len(warnings) == 1
    assert "images by digest" in warnings[0]


def test_a_single_image_is_replaced_whatever_its_name() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "registry.example:5000/mine@" + DIGEST}]},
    }
    found = changes([f"image=other@{DIGEST}"], [pod], refuse)
    assert found.images == [{"name": "registry.example:5000/mine", "newName": "other", "digest": DIGEST}]
    pod["spec"]["containers"].append({"name": "d", "image": "another:1"})  # type: ignore[index]
    with pytest.raises(UsageError, match=r"there are another, registry\.example:5000/mine"):
        changes([f"image=other@{DIGEST}"], [pod], refuse)
