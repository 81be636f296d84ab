"""Releases on a real cluster, over HTTP, under load: to the end, and back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from app.registry import alias
from app.settings import Settings
from tests.support.load import Load
from tests.support.models import log_flawed

MODEL = "released"
LIMIT_S = 180.0
QUICK: dict[str, Any] = {
    "strategy": "canary",
    "steps": [
        {"weight": 0.2, "gate": "time", "min_duration": "2s", "min_samples": 20},
        {"weight": 0.5, "gate": "time", "min_duration": "2s", "min_samples": 20},
    ],
    "guards": [{"metric": "errors", "tolerance": 1.5}],
    "scale_down_delay": "2s",
}


class Api:
    """The routes of a release, as a key with every scope sees them."""

    def __init__(self, settings: Settings) -> None:
        assert settings.gateway.admin_key is not None
        headers = {"authorization": f"Bearer {settings.gateway.admin_key.get_secret_value()}"}
        self._client = httpx.Client(base_url=settings.gateway.url, headers=headers, timeout=15)

    def begin(self, version: str, plan: dict[str, Any]) -> str:
        reply = self._client.post("/releases", json={"model": MODEL, "version": version, "plan": plan})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["id"])

    def order(self, release: str, verb: str) -> None:
        reply = self._client.post(f"/releases/{release}/{verb}")
        assert reply.status_code == 200, reply.text

    def get(self, release: str) -> dict[str, Any]:
        reply = self._client.get(f"/releases/{release}")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def until(self, release: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + LIMIT_S
        while True:
            found = self.get(release)
            if holds(found):
                return found
            assert time.monotonic() < deadline, f"{found['phase']} waits for {found['waiting_for']}"
            time.sleep(0.2)

    def ended(self, release: str) -> dict[str, Any]:
        return self.until(release, lambda found: found["state"] in ("promoted", "rolled_back", "cancelled"))

    def weights(self) -> dict[str, float]:
        table = self._client.get(f"/routes/{MODEL}").json()
        return {route["version"]: route["weight"] for route in table["routes"]}


@pytest.fixture(scope="module")
def api(driver: Settings) -> Api:
    return Api(driver)


@pytest.fixture(scope="module")
def champion(api: Api, registry: MlflowClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model's first version, released: it has nobody to be compared with."""
    version = log_flawed(MODEL, tmp_path_factory.mktemp("flaw"))
    ended = api.ended(api.begin(version, QUICK))
    assert ended["state"] == "promoted"
    assert api.weights() == {version: 1.0}
    assert alias(registry, MODEL, "champion") == version
    return version


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
