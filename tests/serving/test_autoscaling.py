"""The number of a version's replicas: the demand that gateway replicas report, and Serve acting on it."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from mlflow import MlflowClient
from ray import serve

from app.registry import SERVING_TAG
from app.releases.control.deployment import bring_up
from app.routing.readback import await_followed, gateway_handle
from app.routing.route_store import RouteStore, connect
from app.routing.route_table import with_weights
from app.serving.autoscaling import FORGET_S, Demand
from app.serving.batch import DEPLOYMENT
from app.settings import Settings
from tests.support.load import Load, infer_body
from tests.support.models import log_scorer

MODEL = "busy"
ENTRY = {
    "target_ongoing_requests": 4,
    "max_replicas": 2,
    "upscale_delay_s": 1,
    "downscale_delay_s": 2,
    "max_queued_requests": 24,
}


def test_demand_sums_the_newest_report_of_each_gateway_replica() -> None:
    demand = Demand()
    assert demand.ongoing(0.0) == 0
    demand.begins("g1", 10)
    demand.begins("g2", 5)
    demand.begins("g1", 7)
    assert demand.ongoing(100.0) == 12  # a call that takes long is still there
    for caller, now in (("g2", 0.5), ("g1", 0.8), ("g1", 1.0)):
        demand.ends(caller, now)
    assert demand.ongoing(1.0) == 12
    assert demand.ongoing(0.5 + FORGET_S + 0.1) == 7
    assert demand.ongoing(10.0) == 0


@pytest.fixture(scope="module")
def app(driver: Settings, registry: MlflowClient) -> str:
    """The application of a version that works for 50 ms and may have two replicas."""

    async def up() -> str:
        redis = connect(driver.redis)
        try:
            store, gateway = RouteStore(redis), gateway_handle(driver.gateway.app_name)
            version = log_scorer(MODEL)
            registry.set_registered_model_tag(MODEL, SERVING_TAG, json.dumps(ENTRY))
            deployed = await bring_up(registry, store, gateway, MODEL, version, driver.serving)
            table = await store.change(MODEL, lambda held, now_ms: with_weights(held, {version: 1.0}, now_ms))
            await await_followed(gateway, MODEL, table.revision, 10)
            return deployed.app
        finally:
            await redis.aclose()

    return asyncio.run(up())


def replicas(app: str) -> int:
    states = serve.status().applications[app].deployments[DEPLOYMENT].replica_states
    return sum(count for state, count in states.items() if state == "RUNNING")


def await_replicas(app: str, count: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while replicas(app) != count:
        assert time.monotonic() < deadline, f"{replicas(app)} replicas, not {count}, after {timeout_s:g} s"
        time.sleep(0.2)


def test_scales_out_under_load_and_in_again(driver: Settings, app: str) -> None:
    """Coalesced calls never exceed two a replica: only what the gateway tells can make Serve add one."""
    assert replicas(app) == 1
    with Load(driver.gateway.url, MODEL, threads=12, x=600.0, pause_s=0.0) as load:
        await_replicas(app, 2, timeout_s=180)
        load.await_answers(50)
    assert load.failures == []
    await_replicas(app, 1, timeout_s=180)


def test_overloaded_version_refuses_requests_beyond_its_queue(driver: Settings, app: str) -> None:
    def post(client: httpx.Client) -> httpx.Response:
        return client.post(f"{driver.gateway.url}/v2/models/{MODEL}/infer", json=infer_body(600))

    at_once = driver.gateway.min_replicas * ENTRY["max_queued_requests"] + 40
    with ThreadPoolExecutor(at_once) as pool, httpx.Client(timeout=30, limits=httpx.Limits()) as client:
        answers = list(pool.map(lambda _: post(client), range(3 * at_once)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    for answer in refused:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "requests wait for version 1 already" in answer.json()["error"]
