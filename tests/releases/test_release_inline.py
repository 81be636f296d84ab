"""A release that a tag in the registry begins, of a model whose champion lives in the gateway replicas."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from app.registry import SERVING_TAG, alias
from app.releases.model.release_request import mark_of
from app.releases.model.tags import CHALLENGER_ALIAS, PLAN_TAG
from app.serving.deploy import applications_of
from app.settings import Settings
from tests.support.models import log_scorer

MODEL = "light"
LIMIT_S = 180.0
PLAN = json.dumps(
    {
        "strategy": "canary",
        "steps": [{"weight": 0.2, "gate": "time", "min_duration": "1s"}],
        "guards": [{"metric": "errors", "tolerance": 1.5}],
        "scale_down_delay": "1s",
    }
)


@pytest.fixture(scope="module")
def api(driver: Settings) -> httpx.Client:
    assert driver.gateway.admin_key is not None
    headers = {"authorization": f"Bearer {driver.gateway.admin_key.get_secret_value()}"}
    return httpx.Client(base_url=driver.gateway.url, headers=headers, timeout=30)


def hint(api: httpx.Client, version: str, key: str = PLAN_TAG) -> None:
    """The event of MLflow's webhook for a tag that was set."""
    data = {"name": MODEL, "version": version, "key": key, "value": "…"}
    heard = api.post("/releases/registry-events", json={"entity": "model_version_tag", "action": "set", "data": data})
    assert heard.status_code == 202, heard.text


def until(ask: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LIMIT_S
    while not (found := ask()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def ended(api: httpx.Client, version: str) -> dict[str, Any]:
    """The release of a version, once it has ended."""

    def send_event() -> dict[str, Any] | None:
        held = api.get("/releases", params={"model": MODEL}).json()
        return next((each for each in held if each["challenger"] == version and each["ended"]), None)

    summary = until(send_event)
    whole: dict[str, Any] = api.get(f"/releases/{summary['id']}").json()
    return whole


def answers(api: httpx.Client, version: str) -> None:
    body = {
        "inputs": [
            {"name": "x", "shape": [1], "datatype": "FP64", "data": [2.0]},
            {"name": "user", "shape": [1], "datatype": "BYTES", "data": ["u"]},
        ]
    }
    reply = api.post(f"/v2/models/{MODEL}/infer", json=body)
    assert (reply.status_code, reply.json().get("model_version")) == (200, version), reply.text


def test_a_release_that_the_registry_asks_for_ends_inline(
    api: httpx.Client, registry: MlflowClient, driver: Settings
) -> None:
    first = log_scorer(MODEL)
    registry.set_registered_model_tag(MODEL, SERVING_TAG, json.dumps({"placement": "inline"}))
    registry.set_registered_model_tag(MODEL, PLAN_TAG, PLAN)
    registry.set_model_version_tag(MODEL, first, PLAN_TAG, "default")
    hint(api, first)
    done = ended(api, first)
    assert done["state"] == "promoted", done["reason"]
    assert done["history"][0]["who"] == "registry"
    assert done["history"][-1]["what"].endswith("is champion, in the gateway replicas themselves")
    assert applications_of(MODEL, first) == []
    (route,) = api.get(f"/routes/{MODEL}").json()["routes"]
    assert (route["version"], route["weight"]) == (first, 1.0)
    answers(api, first)
    assert alias(registry, MODEL, "champion") == first
    assert registry.get_model_version(MODEL, first).tags[mark_of("default")] == done["id"]

    # From an inline champion, and by the alias alone.
    second = log_scorer(MODEL)
    registry.set_registered_model_alias(MODEL, CHALLENGER_ALIAS, second)
    hint(api, second)
    done = ended(api, second)
    assert (done["state"], done["champion"]) == ("promoted", first), done["reason"]
    assert applications_of(MODEL, second) == []
    assert done["history"][-1]["what"].endswith("is champion, in the gateway replicas themselves")
    answers(api, second)

    # What cannot be honoured says so where it was asked for, and who was asked for once is not begun again.
    third = log_scorer(MODEL)
    registry.set_model_version_tag(MODEL, third, PLAN_TAG, "bold")
    hint(api, third)
    mark = mark_of("bold")
    refused = until(lambda: registry.get_model_version(MODEL, third).tags.get(mark))
    assert refused.startswith("refused: tidegate.release.plan 'bold'")
    audit = until(
        lambda: [each for each in api.get("/releases/audit", params={"model": MODEL}).json() if not each["release"]]
    )
    assert "refused" in audit[0]["what"]
    assert len(api.get("/releases", params={"model": MODEL}).json()) == 2
