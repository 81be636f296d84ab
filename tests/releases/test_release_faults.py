"""A release goes on from where it was, whatever dies or goes away meanwhile, and no weight is ever wrong."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from ray import serve

from app.registry import alias
from app.settings import Settings
from cluster.local import Stack
from tests.support.load import Load
from tests.support.models import log_flawed
from tests.support.releases import QUICK, Api, Weights, first_version, kill_controller

MODEL = "survivor"
SHARES = (0.0, 0.2, 0.5, 1.0)
"""Of the challenger, by the plan."""
STEADY = QUICK | {"scale_down_delay": "4s"}


@pytest.fixture(scope="module")
def api(driver: Settings) -> Api:
    return Api(driver, MODEL)


@pytest.fixture
def champion(first: str, registry: MlflowClient) -> str:
    """The present champion."""
    found = alias(registry, MODEL, "champion")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def first(api: Api, registry: MlflowClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    return first_version(api, tmp_path_factory.mktemp("flaw"))


def kill(api: Api, release: str) -> None:
    """Kill who decides, and wait until another one takes orders (this one changes nothing)."""
    kill_controller()
    took = api.insist(release, "resume")
    print(f"another controller decides after {took:.1f} s")
    assert took < 150


def test_the_controller_killed_in_every_phase_to_the_end(
    api: Api, champion: str, registry: MlflowClient, driver: Settings, tmp_path: Path
) -> None:
    version = log_flawed(MODEL, tmp_path)
    killed = []
    with Load(driver.gateway.url, MODEL, threads=2, tries=3) as load, Weights(driver, MODEL) as weights:
        load.await_answers(20)
        release = api.begin(version, STEADY)
        for phase in ("preparing", "step", "settling", "retiring"):
            # A phase may be over before a look at it; the one that then lasts is as good.
            found = api.reaches(release, phase, "settling", "retiring", "promoted", patient=True)
            if found["ended"]:
                break
            killed.append(found["state"])
            kill(api, release)
        ended = api.ended(release, patient=True)
        load.await_answers(20)
    assert {"preparing", "step", "settling"} <= set(killed)
    assert ended["state"] == "promoted", ended["reason"]
    assert load.failures == []
    weights.assert_only({champion, version}, SHARES, version)
    assert all(earlier < later for earlier, later in pairwise(weights.shares(version))), "forward, step by step"
    assert api.weights() == {version: 1.0}
    assert alias(registry, MODEL, "champion") == version


def test_the_controller_killed_on_the_way_back(
    api: Api, champion: str, registry: MlflowClient, driver: Settings, tmp_path: Path
) -> None:
    version = log_flawed(MODEL, tmp_path)
    before = api.weights()
    plan = QUICK | {"promotion": "confirmed", "steps": QUICK["steps"][:1]}
    with Load(driver.gateway.url, MODEL, threads=2, tries=3) as load, Weights(driver, MODEL) as weights:
        load.await_answers(20)
        release = api.begin(version, plan)
        api.reaches(release, "confirming")
        kill(api, release)
        api.order(release, "rollback")
        kill_controller()
        found = api.reaches(release, "restoring", "removing", "rolled_back", patient=True)
        if not found["ended"]:
            kill_controller()
        ended = api.ended(release, patient=True)
        load.await_answers(20)
    assert ended["state"] == "rolled_back"
    assert ended["reason"] == "ordered"
    assert load.failures == []
    weights.assert_only({champion, version}, SHARES, version)
    assert weights.shares(version) == [0.0, 0.2, 0.0], "back in one move"
    assert api.weights() == before
    assert alias(registry, MODEL, "champion") == champion
    assert alias(registry, MODEL, "challenger") is None


def test_redis_lost_in_a_step(
    api: Api, champion: str, driver: Settings, redis_pid: Callable[[], int], tmp_path: Path
) -> None:
    version = log_flawed(MODEL, tmp_path)
    with Load(driver.gateway.url, MODEL, threads=2, tries=3) as load, Weights(driver, MODEL) as weights:
        load.await_answers(20)
        release = api.begin(version, QUICK)
        api.until(release, lambda found: found["state"] == "step" and "more" in found["waiting_for"])
        pid = redis_pid()
        os.kill(pid, signal.SIGSTOP)  # away, and not restarted by its supervisor
        try:
            load.await_answers(50)
            assert api.get_or_none(release) is None
        finally:
            os.kill(pid, signal.SIGKILL)  # and now for good: a new server with the old data takes its place
        load.await_answers(50)
        ended = api.ended(release, patient=True)
        load.await_answers(20)
    assert ended["state"] == "promoted", ended["reason"]
    assert load.failures == []
    weights.assert_only({champion, version}, SHARES, version)
    assert api.weights() == {version: 1.0}


@contextmanager
def registry_away(stack: Stack) -> Iterator[None]:
    """The registry takes connections and answers none."""
    pid = stack.pid("mlflow")
    assert pid is not None
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def test_the_registry_away_when_the_alias_is_to_move(
    api: Api, champion: str, registry: MlflowClient, driver: Settings, stack: Stack, tmp_path: Path
) -> None:
    version = log_flawed(MODEL, tmp_path)
    with Load(driver.gateway.url, MODEL, threads=2, tries=3) as load:
        load.await_answers(20)
        release = api.begin(version, STEADY)
        api.reaches(release, "settling")
        with registry_away(stack):
            waiting = api.reaches(release, "committing")
            assert not waiting["registry_told"]
            load.versions.clear()
            load.await_answers(50)
            assert set(load.versions) == {version}
            kill(api, release)  # what the registry is still to be told must outlive who tells it
            assert api.get(release)["state"] == "committing"
        assert alias(registry, MODEL, "champion") == champion
        ended = api.ended(release)
        load.await_answers(20)
    assert ended["state"] == "promoted"
    assert ended["registry_told"]
    assert load.failures == []
    assert alias(registry, MODEL, "champion") == version
    assert alias(registry, MODEL, "challenger") is None


def test_both_versions_lost_in_a_step_come_back_with_the_weights_in_force(
    api: Api, champion: str, driver: Settings, tmp_path: Path
) -> None:
    """The state after the loss of the Ray cluster: Redis kept route table and release, and nothing runs."""
    version = log_flawed(MODEL, tmp_path)
    person = [{"weight": 0.3, "gate": "person"}]
    with Weights(driver, MODEL) as weights:
        release = api.begin(version, QUICK | {"steps": person, "guards": []})
        api.until(release, lambda found: found["waiting_for"] == "a person: promote")
        lost = apps(api)
        assert lost.keys() == {champion, version}
        for app in lost.values():
            serve.delete(app, _blocking=False)
        with Load(driver.gateway.url, MODEL, threads=2, tries=40) as load:
            deadline = time.monotonic() + 180
            while set(load.versions) != {champion, version}:
                assert time.monotonic() < deadline, load.failures[-3:]
                time.sleep(0.1)
            assert api.weights() == {champion: 0.7, version: 0.3}
            api.order(release, "rollback")
            ended = api.ended(release)
    assert ended["state"] == "rolled_back"
    weights.assert_only({champion, version}, (0.0, 0.3), version)
    assert weights.shares(version) == [0.0, 0.3, 0.0]


def apps(api: Api) -> dict[str, str]:
    """Version -> its application."""
    return {route["version"]: route["app"] for route in api.http.get(f"/routes/{api.model}").json()["routes"]}
