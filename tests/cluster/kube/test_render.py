"""Rendering by the real kubectl."""

from __future__ import annotations

import argparse
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


def test_everything_that_can_be_set(manifests: Path) -> None:
    objects = render(
        "big",
        [
            f"image=registry.example/tg@{DIGEST}",
            "TIDEGATE_GATEWAY_MAX_REPLICAS=8",
            "RAY_LOG_TO_STDERR=1",
            "ConfigMap/generated:/data/B='1e3'",
            "RayService/tidegate:/spec/rayClusterConfig/workerGroupSpecs/0/replicas=7",
            "RayService/tidegate:/spec/rayClusterConfig/headGroupSpec/template/spec/containers/0/args/-='on'",
        ],
        "elsewhere-2",
        manifests=manifests,
    )
    text = json.dumps(objects)
    assert "tidegate:0.1.0" not in text
    assert text.count(f"registry.example/tg@{DIGEST}") == 4  # two containers, an init container, the autoscaler
    settings = one(objects, "ConfigMap", "tidegate-settings")["data"]
    assert (settings["TIDEGATE_GATEWAY_MAX_REPLICAS"], settings["RAY_LOG_TO_STDERR"]) == ("8", "1")
    assert one(objects, "ConfigMap", "generated-")["data"] == {"A": "b", "B": "1e3"}
    assert replicas(objects) == 7
    head = one(objects, "RayService")["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][
        0
    ]
    assert head["args"] == ["on", "1e3", "0x1", "null", "12:30", "on"]


def test_another_namespace_is_followed_by_what_refers_to_it(manifests: Path) -> None:
    objects = render("base", ["namespace=blue"], manifests=manifests)
    assert {obj["metadata"].get("namespace", "blue") for obj in objects} == {"blue"}
    assert one(objects, "Namespace")["metadata"]["name"] == "blue"
    assert [each["namespace"] for each in one(objects, "RoleBinding")["subjects"]] == ["blue", "elsewhere"]
    hosts = one(objects, "ConfigMap", "tidegate-settings")["data"]["HOSTS"]
    assert hosts == "redis.blue:6379,redis.blue.svc,registry.tidegate.example,/ns/blue/sa/head"


def test_another_name_for_another_run_whatever_else_is_set_of_it() -> None:
    run = "RayJob/train-flights-online"
    sets = [
        f"{run}:/metadata/name=foo",
        f"{run}:/spec/activeDeadlineSeconds=5",
        f"image=registry.example/tg@{DIGEST}",
    ]
    made = one(render("kueue-training-job", sets, "blue"), "RayJob")
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("foo", "blue")
    assert made["spec"]["activeDeadlineSeconds"] == 5
    assert "tidegate:0.1.0" not in json.dumps(made)
    assert one(render("kueue-training-job"), "RayJob")["metadata"]["name"] == "train-flights-online"


def test_what_refers_to_an_object_follows_its_name(manifests: Path) -> None:
    objects = render("base", ["ServiceAccount/head:/metadata/name=tail"], manifests=manifests)
    assert one(objects, "ServiceAccount")["metadata"]["name"] == "tail"
    assert [each["name"] for each in one(objects, "RoleBinding")["subjects"]] == ["tail", "prometheus"]


def test_what_kustomize_refuses_is_shown_in_its_words(manifests: Path, tmp_path: Path) -> None:
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


def test_the_verb(manifests: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "available", lambda: available(manifests))
    parser = argparse.ArgumentParser()
    verb.add_parser(parser.add_subparsers())

    def call(*arguments: str) -> tuple[int, str, str]:
        options = parser.parse_args(["render", *arguments])
        code = options.run(options)
        return code, *capsys.readouterr()

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
