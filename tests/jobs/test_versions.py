"""``tidegate versions`` against the session's stack."""

from __future__ import annotations

import json
from types import SimpleNamespace

import httpx
import pytest
import ray
from mlflow import MlflowClient
from ray.util.state import list_actors

from app.routing.readback import NotFollowedError
from app.serving.deploy import applications_of
from app.settings import Settings
from cluster.local.programs import NODE_LABEL
from jobs.cli import main
from jobs.versions import run
from tests.support.load import infer_body
from tests.support.models import log_scorer

MODEL = "byhand"
NODE = "ray-node-1"


def nodes_of_replicas(app: str) -> set[str]:
    names = {node["NodeID"]: node["Labels"].get(NODE_LABEL) for node in ray.nodes()}  # type: ignore[no-untyped-call]
    found = [each for each in list_actors(filters=[("state", "=", "ALIVE")]) if f":{app}:" in each.class_name]
    return {names[each.node_id] for each in found}


def test_version_is_deployed_answers_moves_and_is_removed(
    driver: Settings, registry: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    version = log_scorer(MODEL)
    registry.set_registered_model_alias(MODEL, "newest", version)
    registry.set_registered_model_tag(MODEL, "tidegate.serving", json.dumps({"node_labels": {NODE_LABEL: NODE}}))
    url = f"{driver.gateway.url}/v2/models/{MODEL}/infer"

    assert main(["versions", "up", MODEL, "newest", "--entity", "user"]) == 0
    assert main(["versions", "weights", MODEL, f"{version}=1"]) == 0
    assert httpx.post(url, json=infer_body(2), timeout=30).json()["outputs"][0]["data"] == [4.0]
    capsys.readouterr()
    assert main(["versions", "list"]) == 0
    shown = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(MODEL))
    assert shown.split()[1:3] == [version, "100.0%"]
    assert (shown.split()[3], shown.split()[5]) == ("dedicated", "RUNNING")
    assert nodes_of_replicas(applications_of(MODEL, version)[0]) == {NODE}

    assert main(["versions", "place", MODEL, version, "inline"]) == 0
    assert applications_of(MODEL, version) == []  # no hop is left to be made
    assert httpx.post(url, json=infer_body(2), timeout=30).json()["outputs"][0]["data"] == [4.0]
    assert main(["versions", "place", MODEL, version, "inline"]) == 0
    capsys.readouterr()
    assert main(["versions", "list"]) == 0
    shown = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(MODEL))
    assert shown.split()[3:] == ["inline", "gateway"]
    assert main(["versions", "place", MODEL, version, "dedicated"]) == 0
    assert httpx.post(url, json=infer_body(2), timeout=30).json()["outputs"][0]["data"] == [4.0]
    assert len(applications_of(MODEL, version)) == 1

    assert main(["versions", "down", MODEL, version]) == 1
    assert f"version {version} of {MODEL} has weight 1 and cannot be removed" in capsys.readouterr().err
    assert main(["versions", "weights", MODEL, f"{version}=0"]) == 0
    capsys.readouterr()
    assert main(["versions", "place", MODEL, version, "inline"]) == 1
    assert "has weight 0; only one with all the traffic moves inline" in capsys.readouterr().err
    assert main(["versions", "down", MODEL, version]) == 0
    assert httpx.post(url, json=infer_body(2), timeout=30).status_code == 404


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["weights", MODEL, "1"], "'1': accepted is VERSION=WEIGHT, such as 2=0.1"),
        (["weights", MODEL, "1=half"], "'half' is not a number from 0 to 1"),
        ([], "Missing command"),
    ],
)
def test_wrong_command_line_ends_with_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["versions", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_unknown_version_ends_with_1(
    driver: Settings, registry: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["versions", "up", "nothing", "1"]) == 1
    assert "the registry holds no model named nothing" in capsys.readouterr().err
    assert main(["versions", "weights", "nothing", "1=1"]) == 1
    assert "version 1 of nothing is not deployed; deployed: none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shares", "unfollowed", "followed"),
    [((0.9, 0.5), 0, True), ((0.5,), 1, True), ((0.5,), 1000, False), ((0.9,), 0, False)],
)
async def test_awaited_weights_must_be_in_force_and_followed(
    shares: tuple[float, ...], unfollowed: int, followed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [SimpleNamespace(weights={"1": share, "2": 1 - share}, revision=7) for share in shares]
    asked: list[int] = []

    async def read(model: str) -> SimpleNamespace:
        return tables.pop(0) if len(tables) > 1 else tables[0]

    async def await_followed(handle: object, model: str, revision: int, timeout_s: float) -> None:
        asked.append(revision)
        if len(asked) <= unfollowed:
            raise NotFollowedError("not yet")

    monkeypatch.setattr(run, "await_followed", await_followed)
    versions = run.Versions(Settings(), SimpleNamespace(read=read), None)  # type: ignore[arg-type]
    assert await versions.await_weights(MODEL, {"1": 0.5, "2": 0.5, "3": 0.0}, timeout_s=0.3) is followed
    assert set(asked) <= {7}
