"""The surroundings of a prediction, on a real Ray cluster: keys, features, the cache, the event, the metrics."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import mlflow
import pandas as pd
import pytest
import ray
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from redis.asyncio import Redis

from app.clock import now_us
from app.events import LABELS, Prediction, connect_sink, event_redis
from app.features import REJECT, Feature, FeatureView, OnlineStore, Row, to_document
from app.monitoring.labels import LabelJoin
from app.redis_client import connect
from app.registry import SERVING_TAG, ModelPackage, log_version
from app.releases.control.deployment import bring_up
from app.routing.readback import await_followed, gateway_handle
from app.routing.release_context import OutputLoss, ReleaseContext
from app.routing.route_store import RouteStore
from app.routing.route_table import with_weights
from app.settings import Settings
from app.web.keys import KeyStore, Limit, Scope, mint
from tests.support.eventually import eventually
from tests.support.models import log_scorer

MODEL = "spender"
PLAIN = "plain"
VIEW = FeatureView("user", ("user",), (Feature("spent", "float64", float("nan")),), 3600, "at", "test")
STRICT = FeatureView("user", ("user",), (Feature("spent", "float64", REJECT),), 3600, "at", "test")
TTL_S = 30

T = TypeVar("T")


def log_spender(view: FeatureView) -> str:
    package = ModelPackage(
        script=Path(__file__).parents[2] / "support" / "summer.py",
        code=(),
        artifacts={},
        signature=ModelSignature(
            inputs=Schema(
                [ColSpec("double", "x"), ColSpec("string", "user"), ColSpec("double", "user_spent", required=False)]
            ),
            outputs=Schema([ColSpec("double", "total")]),
            params=ParamSchema([ParamSpec("scale", "double", 1.0)]),
        ),
        example=pd.DataFrame({"x": [0.5], "user": ["warm"], "user_spent": [1.0]}),
        features=("user_spent",),
        feature_views=(to_document(view),),
        requirements=("pandas",),
    )
    mlflow.set_experiment("tests")
    with mlflow.start_run():
        return log_version(package, MODEL, {})


def with_redis(settings: Settings, work: Callable[[Redis], Awaitable[T]]) -> T:
    async def run() -> T:
        redis = connect(settings.redis)
        try:
            return await work(redis)
        finally:
            await redis.aclose()

    return asyncio.run(run())


@pytest.fixture(scope="module")
def served(driver: Settings, registry: MlflowClient) -> Settings:
    """Version 1 with a default for its feature, version 2 that refuses without, both cached; and a plain model."""

    async def up(redis: Redis) -> None:
        store, gateway = RouteStore(redis), gateway_handle(driver.gateway.app_name)

        async def serve(model: str, version: str, weight: float) -> None:
            await bring_up(registry, store, gateway, model, version, driver.serving)
            table = await store.change(model, lambda held, now_ms: with_weights(held, {version: weight}, now_ms))
            await await_followed(gateway, model, table.revision, 10)

        first = log_spender(VIEW)
        registry.set_registered_model_tag(MODEL, SERVING_TAG, json.dumps({"cache_ttl_s": TTL_S}))
        await serve(MODEL, first, 1.0)
        await bring_up(registry, store, gateway, MODEL, log_spender(STRICT), driver.serving)
        await serve(PLAIN, log_scorer(PLAIN), 1.0)
        online = OnlineStore(redis, timeout_s=2)
        await online.write(VIEW, [(("ann",), Row(now_us(), (10.0,)))])

    with_redis(driver, up)
    return driver


def body(x: float, user: str = "ann", **more: Any) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "x", "shape": [1], "datatype": "FP64", "data": [x]},
            {"name": "user", "shape": [1], "datatype": "BYTES", "data": [user]},
        ],
        **more,
    }


def predict(settings: Settings, x: float, user: str = "ann", model: str = MODEL, **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    return httpx.post(
        f"{settings.gateway.url}/v2/models/{model}/infer", json=body(x, user, **more), headers=headers, timeout=30
    )


def total(response: httpx.Response) -> float:
    assert response.status_code == 200, response.text
    value: float = response.json()["outputs"][0]["data"][0]
    return value


def test_features_are_looked_up_and_what_was_found_is_said(served: Settings) -> None:
    found = predict(served, 1.0)
    assert (total(found), found.headers["x-feature-status"]) == (11.0, "fresh")
    found = predict(served, 1.0, "stranger")
    assert (total(found), found.headers["x-feature-status"]) == (0.0, "user=missing")
    pinned = f"{served.gateway.url}/v2/models/{MODEL}/versions/2/infer"
    assert total(httpx.post(pinned, json=body(1.0), timeout=30)) == 11.0
    refused = httpx.post(pinned, json=body(1.0, "stranger"), timeout=30)
    assert refused.status_code == 422
    assert "user is missing, and user_spent has no default" in refused.json()["error"]


def test_parameters_reach_the_model(served: Settings) -> None:
    assert total(predict(served, 1.0, parameters={"scale": 2.0})) == 22.0
    refused = predict(served, 1.0, parameters={"size": 2.0})
    assert refused.status_code == 400
    assert "takes no parameter 'size'; it takes scale" in refused.json()["error"]


def test_a_cached_answer_is_used_until_a_newer_feature_row_comes(served: Settings) -> None:
    with_redis(served, lambda redis: OnlineStore(redis, timeout_s=2).write(VIEW, [(("bob",), Row(now_us(), (5.0,)))]))
    assert "x-prediction-cache" not in predict(served, 7.0, "bob").headers
    deadline = time.monotonic() + 60
    while "x-prediction-cache" not in (again := predict(served, 7.0, "bob")).headers:  # the other replica reads Redis
        assert time.monotonic() < deadline
    assert total(again) == 12.0
    with_redis(served, lambda redis: OnlineStore(redis, timeout_s=2).write(VIEW, [(("bob",), Row(now_us(), (6.0,)))]))
    fresh = predict(served, 7.0, "bob")
    assert (total(fresh), fresh.headers.get("x-prediction-cache")) == (13.0, None)
    other = httpx.post(f"{served.gateway.url}/v2/models/{MODEL}/versions/2/infer", json=body(7.0, "bob"), timeout=30)
    assert "x-prediction-cache" not in other.headers  # never across versions


def test_every_prediction_leaves_an_event(served: Settings) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"x-request-id": "seen-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01", "x-sticky-key": "k"}
    answered = predict(served, 3.0, headers=headers)
    assert answered.headers["traceparent"].split("-")[1] == trace
    assert httpx.post(f"{served.gateway.url}/v2/models/{MODEL}/infer", json={"inputs": []}).status_code == 400

    async def read() -> Prediction:
        sink = connect_sink(served)
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                for entry in await sink.predictions.read(MODEL, "0", 10_000, 0.2):
                    if entry.record is not None and entry.record.request_id == "seen-1":
                        return entry.record
            raise AssertionError("the event did not arrive")
        finally:
            await sink.close()

    record = asyncio.run(read())
    assert (record.trace_id, record.version, record.placement, record.weight) == (trace, "1", "dedicated", 1.0)
    assert (record.status, record.rows, record.cached, record.key_id) == (200, 1, False, "anonymous")
    assert record.total_us > record.version_us > 0
    view = record.features["user"]
    assert (view.fresh, view.stale, view.missing) == (1, 0, 0)
    assert view.newest is not None


def test_a_label_becomes_the_loss_of_its_prediction(served: Settings) -> None:
    losses: list[tuple[str, int, str, str, float]] = []
    release_context = ReleaseContext("r1", champion="1", challenger="2", quality=OutputLoss("score", "brier", 0.5))

    def predict_and_tell() -> list[float]:
        scores = []
        for x in (0.25, 0.4):
            headers = {"x-request-id": f"told-{x}", "x-sticky-key": f"user-{x}"}
            answered = predict(served, x, model=PLAIN, headers=headers)
            scores.append(answered.json()["outputs"][0]["data"][0])
        labels: list[dict[str, Any]] = [
            {"model": PLAIN, "label": 1, "request_id": "told-0.25"},
            {"model": PLAIN, "label": 0, "entity": "user-0.4", "at": time.time()},
        ]
        taken = httpx.post(f"{served.gateway.url}/feedback", json=labels, timeout=30)
        assert (taken.status_code, taken.json()) == (202, {"accepted": 2})
        return scores

    async def run(redis: Redis) -> list[float]:
        join = LabelJoin(
            connect_sink(served), connect(event_redis(served)), served, lambda *loss: losses.append(loss), now_us
        )
        join.start()
        try:
            join.join_release(PLAIN, release_context)
            async with asyncio.timeout(10):
                while not await redis.exists(LABELS.stream(PLAIN)):  # from now on it reads
                    await asyncio.sleep(0.01)
            scores = await asyncio.to_thread(predict_and_tell)
            await eventually(lambda: len(losses) == 2)
            return scores
        finally:
            join.join_release(PLAIN, None)
            await join.stop()

    first, second = with_redis(served, run)
    assert {loss[:1] + loss[2:4] for loss in losses} == {("r1", "quality/0", "champion")}
    assert sorted(loss[4] for loss in losses) == pytest.approx(sorted([(first - 1) ** 2, second**2]))


def test_keys_authenticate_and_limit_requests(served: Settings) -> None:
    now = int(time.time())
    slow, limited = mint("slow", [Scope.PREDICT], now, Limit(rate=0.01, burst=3))
    other, releaser = mint("releaser", [Scope.RELEASE], now)

    async def add(redis: Redis) -> None:
        await KeyStore(redis).add(limited)
        await KeyStore(redis).add(releaser)

    with_redis(served, add)
    deadline = time.monotonic() + 60  # until both replicas know them
    known = 0
    while known < 10:
        status = predict(served, 1.0, model=PLAIN, headers={"authorization": f"Bearer {other}"}).status_code
        assert status in (401, 403)
        known = known + 1 if status == 403 else 0
        assert time.monotonic() < deadline
    forbidden = predict(served, 1.0, model=PLAIN, headers={"authorization": f"Bearer {other}"})
    assert "this needs the scope predict; the key 'releaser' has release" in forbidden.json()["error"]
    assert "insufficient_scope" in forbidden.headers["www-authenticate"]

    answers = [predict(served, 1.0, model=PLAIN, headers={"authorization": f"Bearer {slow}"}) for _ in range(12)]
    statuses = [answer.status_code for answer in answers]
    assert 3 <= statuses.count(200) <= 6
    assert set(statuses) == {200, 429}
    assert int(answers[-1].headers["retry-after"]) >= 1
    wrong = predict(served, 1.0, model=PLAIN, headers={"authorization": "Bearer tg_none_nothing"})
    assert wrong.status_code == 401


def test_redis_away_models_without_features_answer_and_defaults_are_flagged(
    served: Settings, redis_pid: Callable[[], int]
) -> None:
    strict = f"{served.gateway.url}/v2/models/{MODEL}/versions/2/infer"
    os.kill(redis_pid(), signal.SIGSTOP)
    try:
        for _ in range(4):  # both replicas
            assert predict(served, 2.0, model=PLAIN).json()["outputs"][0]["data"] == [4.0]
            found = predict(served, 1.0)
            assert (total(found), found.headers["x-feature-status"]) == (0.0, "degraded")
            refused = httpx.post(strict, json=body(1.0), timeout=30)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "needs features: the feature store in Redis gave no answer" in refused.json()["error"]
    finally:
        os.kill(redis_pid(), signal.SIGCONT)
    deadline = time.monotonic() + 90
    good = 0
    while good < 6:
        found = predict(served, 1.0)
        good = good + 1 if found.headers["x-feature-status"] == "fresh" else 0
        assert time.monotonic() < deadline
    assert total(found) == 11.0


def test_requests_are_counted_on_the_metrics_endpoint(served: Settings) -> None:
    ports = {node["MetricsExportPort"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
    wanted = (
        "ray_tidegate_request_seconds_count{",
        "ray_tidegate_prediction_cache",
        "ray_tidegate_feature_rows",
        "ray_tidegate_events",
    )
    deadline = time.monotonic() + 90
    while True:
        text = "".join(httpx.get(f"http://127.0.0.1:{port}/metrics").text for port in ports)
        if all(name in text for name in wanted) and f'model="{MODEL}"' in text:
            break
        assert time.monotonic() < deadline, [name for name in wanted if name not in text]
        time.sleep(0.5)
