"""Rendering by the real kubectl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.kube.errors import UsageError
from cluster.kube.manifest import Object
from cluster.kube.overlays import available
from cluster.kube.render import render, render_text
from cluster.kube.verbs import render as verb
from tests.cluster.kube import tiny
from tests.cluster.kube.conftest import tidegate_kube

DIGEST = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("manifests"))


def one(objects: list[Object], kind: str, name: str = "") -> Any:
    return next(obj for obj in objects if obj["kind"] == kind and obj["metadata"]["name"].startswith(name))


def replicas(objects: list[Object]) -> Any:
    return one(objects, "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["replicas"]


def test_compositions_apply_their_components_in_order_and_write_nothing_beside_the_manifests(manifests: Path) -> None:
    before = sorted(manifests.rglob("*"))
    assert replicas(render("base", manifests=manifests)) == 1
    assert replicas(render("big+bigger", manifests=manifests)) == 20
    assert replicas(render("bigger+big", manifests=manifests)) == 10
    assert render_text("big", manifests=manifests) == render_text(f"{manifests}/overlays/big", manifests=manifests)
    assert sorted(manifests.rglob("*")) == before


def test_values_of_set_reach_their_objects(manifests: Path) -> None:
    objects = render(
        "big",
        [
            f"image=registry.example/tg@{DIGEST}",
            "TIDEGATE_GATEWAY_MAX_REPLICAS=8",
            "RAY_LOG_TO_STDERR=1",
            "serving.maxReplicas=7",
        ],
        "elsewhere-2",
        manifests=manifests,
    )
    text = json.dumps(objects)
    assert "tidegate:0.1.0" not in text
    assert text.count(f"registry.example/tg@{DIGEST}") == 4  # two containers, an init container, the autoscaler
    settings = one(objects, "ConfigMap", "tidegate-settings")["data"]
    assert (settings["TIDEGATE_GATEWAY_MAX_REPLICAS"], settings["RAY_LOG_TO_STDERR"]) == ("8", "1")
    assert one(objects, "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["maxReplicas"] == 7
    assert one(objects, "ConfigMap", "generated-")["data"] == {"A": "b"}


def test_named_values_exist_in_the_shipped_manifests() -> None:
    sets = ["MLFLOW_ARTIFACTS_DESTINATION=s3://ours/artifacts", "mlflow.maxReplicas=3", "training.maxReplicas=12"]
    objects = render("ha", sets)
    assert (
        one(objects, "ConfigMap", "tidegate-mlflow")["data"]["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://ours/artifacts"
    )
    assert one(objects, "HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 3
    groups = one(objects, "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert {group["groupName"]: group["maxReplicas"] for group in groups}["training"] == 12


def test_references_follow_another_namespace(manifests: Path) -> None:
    objects = render("base", ["namespace=blue"], manifests=manifests)
    assert {obj["metadata"].get("namespace", "blue") for obj in objects} == {"blue"}
    assert one(objects, "Namespace")["metadata"]["name"] == "blue"
    assert [each["namespace"] for each in one(objects, "RoleBinding")["subjects"]] == ["blue", "elsewhere"]
    hosts = one(objects, "ConfigMap", "tidegate-settings")["data"]["HOSTS"]
    assert hosts == "redis.blue:6379,redis.blue.svc,registry.tidegate.example,/ns/blue/sa/head"


def test_a_training_job_gets_another_name_beside_other_values() -> None:
    sets = ["job=foo", "training.maxReplicas=6", f"image=registry.example/tg@{DIGEST}"]
    made = one(render("kueue-training-job", sets, "blue"), "RayJob")
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("foo", "blue")
    assert made["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplicas"] == 6
    assert "tidegate:0.1.0" not in json.dumps(made)
    assert one(render("kueue-training-job"), "RayJob")["metadata"]["name"] == "train-flights-online"


def test_an_error_of_kustomize_is_shown_in_its_words(manifests: Path, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [nothing.yaml]\n")
    with pytest.raises(UsageError, match=r"(?s)could not build .*nothing\.yaml"):
        render(str(tmp_path), manifests=manifests)


def test_every_overlay_and_component_that_is_shipped_renders_with_another_image_and_namespace() -> None:
    listed = available()
    if not listed:
        pytest.skip("no manifests beside the package")
    for name in dict.fromkeys(each.name for each in listed):
        text = render_text(name, [f"image=registry.example/tg@{DIGEST}"], "blue")
        assert "tidegate:0.1.0" not in text, name
        assert "namespace: tidegate\n" not in text, name


def test_list_yaml_and_errors_of_the_command(
    manifests: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "available", lambda: available(manifests))

    def call(*arguments: str) -> tuple[int, str, str]:
        return tidegate_kube("render", *arguments), *capsys.readouterr()

    code, out, _ = call("--list")
    assert code == 0
    assert "big           overlay, component  Ten of everything." in out
    code, out, _ = call(str(manifests / "base"), "--set", "TIDEGATE_GATEWAY_MAX_REPLICAS=5")
    assert code == 0
    assert '  TIDEGATE_GATEWAY_MAX_REPLICAS: "5"\n' in out
    assert '- "1e3"\n' in out
    assert call()[0] == 2
    code, out, err = call("./nonsense")
    assert (code, out) == (2, "")
    assert "'./nonsense' is no folder" in err
