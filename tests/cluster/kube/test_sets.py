"""``--set``, as refused or as Kustomize carries it out (see test_render for what comes of it)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.kube.errors import UsageError
from cluster.kube.manifest import load
from cluster.kube.sets import changes, typed
from tests.cluster.kube import tiny

OBJECTS = load(tiny.FILES["base/all.yaml"])
DIGEST = "sha256:" + "0" * 64


def refuse(warning: str) -> None:
    raise AssertionError(f"unexpected: {warning}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-2", -2),
        ("1.5", 1.5),
        ("1e+3", 1000.0),
        ("true", True),
        ("null", None),
        ("", None),
        ("on", "on"),
        ("no", "no"),
        ("12:30", "12:30"),
        ("010", "010"),
        ("2026-01-01", "2026-01-01"),
        ("'3'", "3"),
        ("{a: 1, b: [x, 2]}", {"a": 1, "b": ["x", 2]}),
    ],
)
def test_values_are_typed_as_in_yaml_1_2(text: str, value: Any) -> None:
    found = typed(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "says"),
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
        ("RayServise/tidegate:/spec/x=1", "no object is a RayServise; there are ConfigMap, Namespace, RayService"),
        ("RayService/tide:/spec/x=1", "there are RayService tidegate"),
        ("RayService/tidegate:/spec/x/y=1", "/spec has no 'x'; it has rayClusterConfig"),
        (
            "RayService/tidegate:/spec/rayClusterConfig/workerGroupSpecs/1/replicas=1",
            r"is a list and has no '1'; it has 0 \(serving\)",
        ),
        ("RayService/tidegate:/metadata/name/x=1", "the path ends at /metadata/name, which is 'tidegate'"),
        ("RayService/tidegate:/spec/x={", "is no YAML"),
        ("ConfigMap/tidegate-settings:/data/TIDEGATE_GATEWAY_MAX_REPLICA=3", "did you mean TIDEGATE_GATEWAY_MAX_"),
        ("ConfigMap/tidegate-settings:/data/TIDEGATE_GATEWAY_MAX_REPLICAS=1", "is more than max_replicas 1"),
        ("ConfigMap/tidegate-settings:/data/TIDEGATE_REDIS_PASSWORD=hunter2", "reference a Secret"),
        ("RayService/tidegate:/metadata/name=A_b", "name 'A_b': small letters, digits, dashes and dots"),
        ("RayService/tidegate:/kind=RayCluster", "kind stays; its name and its other fields can be set"),
    ],
)
def test_what_cannot_be_honoured_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        changes([text], OBJECTS, refuse)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", "5"), ("'1e3'", "1e3"), ('"5"', "5"), ("true", "true"), ("", ""), ("{a: 1}", "{a: 1}"), ("a #b", "a #b")],
)
def test_what_is_text_to_the_server_stays_text(text: str, value: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"X": "-"}}
    for place in ("ConfigMap/tidegate-settings:/data/X", "Secret/s:/stringData/X"):
        (patch,) = changes([f"{place}={text}"], [*OBJECTS, secret], refuse).patches
        assert [each["value"] for each in json.loads(patch["patch"])] == [value]
    (patch,) = changes(["ConfigMap/tidegate-settings:/data/TIDEGATE_GATEWAY_MAX_REPLICAS=5"], OBJECTS, refuse).patches
    assert [each["value"] for each in json.loads(patch["patch"])] == ["5"]


def test_a_namespace_is_said_once() -> None:
    with pytest.raises(UsageError, match="namespace=a and --namespace b contradict"):
        changes(["namespace=a"], OBJECTS, refuse, "b")
    assert changes(["namespace=a"], OBJECTS, refuse, "a").namespace == "a"


def test_an_image_by_tag_is_taken_with_a_warning() -> None:
    warnings: list[str] = []
    found = changes(["image=registry.example:5000/a/tg:1.2"], OBJECTS, warnings.append)
    assert found.images == [{"name": "tidegate", "newName": "registry.example:5000/a/tg", "newTag": "1.2"}]
    assert len(warnings) == 1
    assert "images by digest" in warnings[0]


def test_the_only_image_there_is_can_be_replaced_whatever_its_name() -> None:
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


def test_what_is_set_first_may_be_the_parent_of_what_is_set_later() -> None:
    sets = ["RayService/tidegate:/spec/extra={}", "rayservice/tidegate:/spec/extra/a~1b=1"]
    assert len(changes(sets, OBJECTS, refuse).patches) == 2
    with pytest.raises(UsageError):
        changes(sets[1:], OBJECTS, refuse)
