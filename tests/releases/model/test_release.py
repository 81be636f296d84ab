"""Releases on a real cluster, over HTTP, under load: to the end, and back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from app.registry import alias
from app.settings import Settings
from tests.support.load import Load, infer_body
from tests.support.models import log_flawed
from tests.support.releases import QUICK, Api, Weights, assert_back_in_time, first_version

MODEL = "released"


@pytest.fixture(scope="module")
def api(driver: Settings) -> Api:
    return Api(driver, MODEL)


@pytest.fixture(scope="module")
def champion(api: Api, registry: MlflowClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model's first version, released: it has no champion to be compared with."""
    version = first_version(api, tmp_path_factory.mktemp("flaw"))
    assert alias(registry, MODEL, "champion") == version
    return version


def test_a_first_version_that_cannot_be_loaded_ends_its_release(
    registry: MlflowClient, driver: Settings, tmp_path: Path
) -> None:
    """A model that never had a route table."""
    api = Api(driver, "stillborn")
    version = log_flawed(api.model, tmp_path, unloadable=1.0)
    ended = api.ended(api.begin(version, QUICK))
    assert ended["state"] == "rolled_back"
    assert "cannot be deployed" in ended["reason"]
    assert api.http.get(f"/routes/{api.model}").status_code == 404
    assert alias(registry, api.model, "champion") is None
    assert alias(registry, api.model, "challenger") is None


def test_a_challenger_that_raises_is_taken_back_and_no_caller_notices(
    api: Api, champion: str, registry: MlflowClient, driver: Settings, tmp_path: Path
) -> None:
    before = api.weights()
    held = alias(registry, MODEL, "champion")
    version = log_flawed(MODEL, tmp_path, raise_above=60.0)
    with Load(driver.gateway.url, MODEL, threads=4, tries=3) as load:
        load.await_answers(50)
        ended = api.ended(api.begin(version, QUICK))
        load.await_answers(50)
    assert ended["state"] == "rolled_back"
    assert "errors" in ended["reason"]
    assert_back_in_time(ended)
    assert load.failures == []
    assert api.weights() == before
    assert alias(registry, MODEL, "champion") == held
    assert alias(registry, MODEL, "challenger") is None
    tags = registry.get_model_version(MODEL, version).tags
    assert tags["tidegate.release.result"].startswith("rolled back by released-")


def test_a_good_challenger_gets_all_the_traffic_step_by_step(
    api: Api, champion: str, registry: MlflowClient, driver: Settings, tmp_path: Path
) -> None:
    version = log_flawed(MODEL, tmp_path)
    with Load(driver.gateway.url, MODEL, threads=4, tries=3) as load:
        load.await_answers(50)
        ended = api.ended(api.begin(version, QUICK))
        load.await_answers(50)
    assert ended["state"] == "promoted", ended["reason"]
    assert load.failures == []
    assert api.weights() == {version: 1.0}
    assert alias(registry, MODEL, "champion") == version
    # Sticky and monotone: who met the challenger stays with it.
    for met in load.by_key.values():
        assert met == sorted(met, key=int)


def test_blue_green_can_be_tried_by_header_switches_at_once_and_goes_back_at_once(
    api: Api, champion: str, driver: Settings, tmp_path: Path
) -> None:
    before = api.weights()
    version = log_flawed(MODEL, tmp_path)
    plan = {"strategy": "blue_green", "steps": [{"weight": 0, "gate": "person"}], "scale_down_delay": "10m"}

    def answers(wished: str) -> str:
        headers = {"x-model-version": wished}
        reply = api.http.post(f"/v2/models/{MODEL}/infer", json=infer_body(2.0), headers=headers)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["model_version"])

    with Load(driver.gateway.url, MODEL, threads=4, tries=3) as load, Weights(driver, MODEL) as weights:
        load.await_answers(50)
        release = api.begin(version, plan)
        api.until(release, lambda found: found["waiting_for"] == "a person: promote")
        assert answers(version) == version
        assert set(load.versions) == set(before)

        api.order(release, "promote")
        api.reaches(release, "settling")
        load.versions.clear()
        load.await_answers(50)
        assert set(load.versions) == {version}

        api.order(release, "rollback")
        ordered = time.monotonic()
        while api.weights() != before | {version: 0.0}:
            assert time.monotonic() - ordered < 10
        ended = api.ended(release)
        load.await_answers(50)
    assert ended["state"] == "rolled_back"
    assert_back_in_time(ended)
    assert load.failures == []
    assert weights.shares(version) == [0.0, 1.0, 0.0], "at once, both ways"
    assert api.weights() == before


@pytest.mark.parametrize("phase", ["preparing", "confirming"])
def test_an_order_takes_it_back_wherever_it_is(
    phase: str, api: Api, champion: str, driver: Settings, tmp_path: Path
) -> None:
    before = api.weights()
    version = log_flawed(MODEL, tmp_path)
    plan = QUICK | {"promotion": "confirmed", "steps": QUICK["steps"][1:]}
    with Load(driver.gateway.url, MODEL, threads=2, tries=3) as load:
        load.await_answers(20)
        release = api.begin(version, plan)
        api.reaches(release, phase)
        api.order(release, "rollback")
        ended = api.ended(release)
        load.await_answers(20)
    assert (ended["state"], ended["reason"]) == ("rolled_back", "ordered")
    assert_back_in_time(ended)
    assert load.failures == []
    assert api.weights() == before
