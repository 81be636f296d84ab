"""The judge's verdict on real traffic ends a release: answers that are slow, or wrong; a shadow; two versions side by
side. Each time the callers notice nothing but what they were meant to meet."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from app.registry import alias
from app.settings import Settings
from tests.support.labelled import LabelledLoad
from tests.support.load import Load
from tests.support.models import log_flawed
from tests.support.releases import QUICK, Api, assert_back_in_time, first_version

MODEL = "judged"
QUALITY: dict[str, Any] = {"metric": "quality", "loss": "brier", "output": "score", "tolerance": 0.1}


@pytest.fixture(scope="module")
def api(driver: Settings) -> Api:
    return Api(driver, MODEL)


@pytest.fixture(scope="module")
def champion(api: Api, registry: MlflowClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    return first_version(api, tmp_path_factory.mktemp("flaw"))


def assert_taken_back(api: Api, ended: dict[str, Any], champion: str, metric: str) -> None:
    assert ended["state"] == "rolled_back", ended["reason"]
    assert ended["reason"].startswith(f"{metric} "), ended["reason"]
    assert_back_in_time(ended)
    assert api.weights() == {champion: 1.0}


def test_a_challenger_that_is_slow_is_taken_back(api: Api, champion: str, driver: Settings, tmp_path: Path) -> None:
    version = log_flawed(MODEL, tmp_path, sleep_s=0.3)
    # An hour at this share: only the judge can end it.
    hour = [{"weight": 0.3, "gate": "time", "min_duration": "1h"}]
    guards = [{"metric": "latency", "objective": "250ms", "tolerance": 1.5}]
    with Load(driver.gateway.url, MODEL, threads=4) as load:
        load.await_answers(50)
        ended = api.ended(api.begin(version, QUICK | {"steps": hour, "guards": guards}))
        load.await_answers(50)
    assert_taken_back(api, ended, champion, "latency")
    assert version in load.versions
    assert load.failures == []


def test_a_challenger_that_is_wrong_is_taken_back_once_the_labels_say_so(
    api: Api, champion: str, driver: Settings, tmp_path: Path
) -> None:
    version = log_flawed(MODEL, tmp_path, shift=0.6)
    hour = [{"weight": 0.3, "gate": "time", "min_duration": "1h"}]
    with LabelledLoad(driver.gateway.url, MODEL) as load:
        ended = api.ended(api.begin(version, QUICK | {"steps": hour, "guards": [QUALITY]}))
    assert_taken_back(api, ended, champion, "quality")
    [guard] = ended["judge"]["guards"]
    assert guard["rate_challenger"] == pytest.approx(0.36)
    assert guard["rate_champion"] == pytest.approx(0.0)
    assert load.failures == []


def test_a_shadow_release_is_judged_and_answers_no_caller(
    api: Api, champion: str, driver: Settings, tmp_path: Path
) -> None:
    sleep_s = 0.5
    version = log_flawed(MODEL, tmp_path, raise_above=75.0, sleep_s=sleep_s, shift=50.0)
    plan = {
        "strategy": "shadow",
        "mirror": 1.0,
        "steps": [{"weight": 0, "gate": "judge"}],
        "guards": [
            # One request in five raises: until that is proven, a few seconds, the others are heard of too. They
            # tolerate nearly anything, or the first tick would be the last.
            {"metric": "errors", "tolerance": 1.5},
            {"metric": "latency", "objective": "100ms", "tolerance": 1000},
            {"metric": "agreement", "output": "score", "within": 1.0, "tolerance": 0.99},
            {"metric": "drift", "output": "score", "low": 0, "high": 200, "tolerance": 0.99},
        ],
    }
    with Load(driver.gateway.url, MODEL, threads=4) as load:
        load.await_answers(200)
        alone = load.seconds[-200:]
        release = api.begin(version, plan)
        api.reaches(release, "step", "rolled_back")
        first = len(load.seconds)  # not before: to start a version takes this machine's time
        ended = api.ended(release)
        shadowed = load.seconds[first:]
        load.await_answers(50)
    assert_taken_back(api, ended, champion, "errors")
    assert load.failures == []
    assert set(load.versions) == {champion}
    # Who felt the challenger would wait for as long as it sleeps.
    assert statistics.median(shadowed) < max(3 * statistics.median(alone), sleep_s / 2)
    guards = {guard["name"]: guard for guard in ended["judge"]["guards"]}
    assert all(guard["n_challenger"] > 0 for guard in guards.values()), guards
    assert guards["agreement"]["rate_challenger"] == 1.0
    assert guards["drift"]["rate_challenger"] > guards["drift"]["rate_champion"]
    assert guards["latency"]["rate_challenger"] > guards["latency"]["rate_champion"]
    assert guards["errors"]["rate_challenger"] > 0
    assert guards["errors"]["rate_champion"] == 0


def test_two_versions_side_by_side_until_the_labels_have_told(
    api: Api, champion: str, registry: MlflowClient, driver: Settings, tmp_path: Path
) -> None:
    version = log_flawed(MODEL, tmp_path)
    plan = {
        "strategy": "ab",
        "steps": [{"weight": 0.5, "gate": "judge"}],
        "guards": [QUALITY],
        "scale_down_delay": "1s",
    }
    with LabelledLoad(driver.gateway.url, MODEL) as load:
        ended = api.ended(api.begin(version, plan))
    assert ended["state"] == "promoted", ended["reason"]
    assert ended["judge"]["verdict"] == "pass"
    assert min(guard["n_challenger"] for guard in ended["judge"]["guards"]) > 0
    assert set(load.answered) == {champion, version}
    assert load.failures == []
    assert api.weights() == {version: 1.0}
    assert alias(registry, MODEL, "champion") == version
