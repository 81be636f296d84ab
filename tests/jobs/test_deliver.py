"""``tidegate deliver``: the order of its steps and its exit codes, without a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from app.training.driver.run import Trained
from app.training.driver.supervisor import StoppedError, TrainingError
from jobs.cli import main
from jobs.deliver import run as job
from jobs.release.client import ReleaseError

TRAINED = Trained("flights", "2", "run2", 10, 0, {"auc": 0.62}, 1.0, 0.1, 0.5, 0.4, 0.0)
ARGUMENTS = ["--config", "flights-static", "--plan", "canary", "--gate", "auc>=champion-0.005"]


class FakePlatform:
    """A registry whose champion logged an AUC, the releases, and training."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.champion: str | None = "1"
        self.champions_auc = 0.62
        self.live = False
        self.training: Callable[[], Trained] = lambda: TRAINED
        self.state = "promoted"
        self.tags: dict[str, str] = {}

    def __enter__(self) -> FakePlatform:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def newest(self, model: str, count: int) -> list[dict[str, Any]]:
        return [{"id": "r0", "ended": not self.live}]

    def begin(self, model: str, version: str, plan: dict[str, Any]) -> dict[str, Any]:
        self.done.append(f"begin {model} {version} {plan['strategy']}")
        return {"id": "r1"}

    def follow(self, *_: object) -> dict[str, Any]:
        return {"state": self.state, "reason": "so it is"}

    def train(self, *_: object) -> Trained:
        self.done.append("train")
        return self.training()

    def set_model_version_tag(self, model: str, version: str, name: str, value: str) -> None:
        self.tags[f"{model} {version} {name}"] = value

    def get_model_version(self, model: str, version: str) -> Any:
        return SimpleNamespace(run_id=f"run{version}")

    def get_run(self, run_id: str) -> Any:
        metrics = {"test.auc": self.champions_auc, "train.auc": 0.99}
        return SimpleNamespace(data=SimpleNamespace(metrics=metrics))


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    found = FakePlatform()
    monkeypatch.setattr(job, "Releases", lambda _: found)
    monkeypatch.setattr(job, "run", found.train)
    monkeypatch.setattr(job, "connect", lambda _: found)
    monkeypatch.setattr(job, "alias", lambda *_: found.champion)
    monkeypatch.setattr(job, "follow", found.follow)
    return found


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


@pytest.mark.parametrize(("state", "code"), [("promoted", 0), ("rolled_back", 3), ("cancelled", 4)])
def test_version_is_trained_gated_released_and_followed(
    platform: FakePlatform, capsys: pytest.CaptureFixture[str], state: str, code: int
) -> None:
    platform.state = state
    assert main(["deliver", *ARGUMENTS]) == code
    assert platform.done == ["train", "begin flights 2 canary"]
    figures = "auc 0.6200 is >= 0.6150 (champion 0.6200 - 0.005)"
    assert platform.tags == {"flights 2 tidegate.gate": f"passed: {figures}"}
    found = last_line(capsys)
    assert (found["version"], found["gates"], found["release"], found["state"]) == ("2", [figures], "r1", state)


def test_version_that_fails_a_gate_is_not_released(
    platform: FakePlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.champions_auc = 0.63
    assert main(["deliver", *ARGUMENTS]) == 5
    assert platform.done == ["train"]
    figures = "auc 0.6200 is not >= 0.6250 (champion 0.6300 - 0.005)"
    assert platform.tags == {"flights 2 tidegate.gate": f"refused: {figures}"}
    assert last_line(capsys)["gates"] == [figures]


def test_first_version_of_a_model_passes_a_gate_against_the_champion(platform: FakePlatform) -> None:
    platform.champion = None
    assert main(["deliver", *ARGUMENTS]) == 0


def test_live_release_is_refused_before_training(platform: FakePlatform, capsys: pytest.CaptureFixture[str]) -> None:
    platform.live = True
    assert main(["deliver", *ARGUMENTS]) == 1
    assert platform.done == []
    assert "model flights has a release under way: r0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(TrainingError("lost"), 1), (ReleaseError("refused"), 1), (StoppedError(7), 75)]
)
def test_error_of_training_ends_with_its_exit_code(platform: FakePlatform, error: Exception, code: int) -> None:
    def fail() -> Trained:
        raise error

    platform.training = fail
    assert main(["deliver", *ARGUMENTS]) == code
    assert platform.done == ["train"]


@pytest.mark.parametrize(
    "change", [{"--plan": "absent"}, {"--config": "absent"}, {"--gate": "auc"}, {"--set": "epochs=-1"}]
)
def test_wrong_option_is_refused_before_training(
    platform: FakePlatform, capsys: pytest.CaptureFixture[str], change: dict[str, str]
) -> None:
    given = dict(zip(ARGUMENTS[::2], ARGUMENTS[1::2], strict=True)) | change
    assert main(["deliver", *(word for pair in given.items() for word in pair)]) == 2
    assert platform.done == []
    assert capsys.readouterr().err
