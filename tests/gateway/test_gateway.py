"""The gateway on a real Ray cluster: two versions of a model behind it, and what callers see."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import struct
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient
from ray.util.state import list_actors

from app.events import Prediction, connect_sink
from app.monitoring.samples import SampleStore
from app.monitoring.sums import Sums
from app.releases.control.deployment import bring_up, take_down
from app.routing.readback import Followed, await_followed, gateway_handle
from app.routing.release_context import OutputMatch, ReleaseContext
from app.routing.route_store import RouteStore, connect
from app.routing.route_table import RouteError, new_table, with_release_context, with_version, with_weights
from app.serving.deploy import Deployed
from app.settings import Settings
from tests.support.load import Load, infer_body
from tests.support.models import WITH_EXTRA, log_scorer

MODEL = "scorer"
RELEASE = "scorer-1"


@pytest.fixture(scope="module")
def deployed(driver: Settings, registry: MlflowClient) -> dict[str, Deployed]:
    """Versions 1 and 2 of the test model, deployed; version 2 takes one input more."""

    async def up() -> dict[str, Deployed]:
        redis = connect(driver.redis)
        try:
            store, gateway = RouteStore(redis), gateway_handle(driver.gateway.app_name)
            versions = [log_scorer(MODEL), log_scorer(MODEL, WITH_EXTRA)]
            return {
                version: await bring_up(registry, store, gateway, MODEL, version, driver.serving, entity="user")
                for version in versions
            }
        finally:
            await redis.aclose()

    return asyncio.run(up())


@pytest.fixture
def api(driver: Settings) -> Iterator[httpx.Client]:
    assert driver.gateway.admin_key is not None
    key = driver.gateway.admin_key.get_secret_value()
    with httpx.Client(base_url=driver.gateway.url, headers={"authorization": f"Bearer {key}"}, timeout=30) as client:
        yield client


@pytest.fixture
def even(api: httpx.Client, deployed: dict[str, Deployed]) -> dict[str, Deployed]:
    """Both versions at one half."""
    set_weights(api, {"1": 0.5, "2": 0.5})
    return deployed


def set_weights(api: httpx.Client, weights: dict[str, float]) -> dict[str, Any]:
    response = api.put(f"/routes/{MODEL}", json={"weights": weights})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_a_model_without_weight_is_unavailable(api: httpx.Client, deployed: dict[str, Deployed]) -> None:
    response = api.post(f"/v2/models/{MODEL}/infer", json=infer_body(1))
    assert response.status_code == 503
    assert response.json() == {"error": f"no version of {MODEL} has weight; deployed: 1, 2"}
    assert response.headers["retry-after"] == "1"


def test_health_and_metadata(api: httpx.Client, even: dict[str, Deployed]) -> None:
    assert api.get("/v2/health/live").json() == {"live": True}
    assert api.get("/v2/health/ready").json() == {"ready": True}
    assert api.get("/v2").json()["name"] == "tidegate"
    assert api.get(f"/v2/models/{MODEL}/ready").status_code == 200
    assert api.get(f"/v2/models/{MODEL}/versions/2/ready").status_code == 200
    found = api.get(f"/v2/models/{MODEL}/versions/2").json()
    assert found["inputs"] == [
        {"name": "x", "datatype": "FP64", "shape": [-1]},
        {"name": "user", "datatype": "BYTES", "shape": [-1]},
        {"name": "extra", "datatype": "FP64", "shape": [-1]},
    ]
    assert api.get(f"/v2/models/{MODEL}").json()["versions"] == ["1", "2"]
    assert api.get("/docs").status_code == 200
    assert "/v2/models/{model}/infer" in api.get("/openapi.json").json()["paths"]


def test_answers_and_names_the_version(api: httpx.Client, even: dict[str, Deployed]) -> None:
    headers = {"x-request-id": "r-7"}
    response = api.post(f"/v2/models/{MODEL}/infer", json={"id": "42", **infer_body(1.5)}, headers=headers)
    reply = response.json()
    assert response.headers["x-model-version"] == reply["model_version"]
    assert response.headers["x-request-id"] == "r-7"
    assert (reply["id"], reply["outputs"]) == (
        "42",
        [{"name": "score", "shape": [1], "datatype": "FP64", "data": [3.0]}],
    )


def test_binary_tensors_both_ways(api: httpx.Client, even: dict[str, Deployed]) -> None:
    raw = struct.pack("<d", 1.5) + struct.pack("<I", 2) + b"u1"
    inputs = [
        {"name": "x", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}},
        {"name": "user", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
    ]
    text = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"inference-header-content-length": str(len(text)), "content-encoding": "gzip"}
    response = api.post(f"/v2/models/{MODEL}/infer", content=gzip.compress(text + raw), headers=headers)
    assert response.status_code == 200, response.text
    head = int(response.headers["inference-header-content-length"])
    assert json.loads(response.content[:head])["outputs"] == [
        {"name": "score", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}
    ]
    assert struct.unpack("<d", response.content[head:]) == (3.0,)
    as_json = api.post(f"/v2/models/{MODEL}/infer", json=infer_body(1.5))  # the same entity, however it is sent
    assert as_json.headers["x-model-version"] == response.headers["x-model-version"]


def test_the_same_key_and_the_same_entity_meet_the_same_version(api: httpx.Client, even: dict[str, Deployed]) -> None:
    def version(user: str, **headers: str) -> str:
        response = api.post(f"/v2/models/{MODEL}/infer", json=infer_body(1, user), headers=headers)
        return str(response.json()["model_version"])

    by_user = {user: version(user) for user in map(str, range(30))}
    assert set(by_user.values()) == {"1", "2"}
    assert all(version(user) == found for user, found in by_user.items())
    by_key = {key: version("same", **{"x-sticky-key": key}) for key in map(str, range(30))}
    assert by_key == by_user  # the key counts as the entity does, and before it


def test_a_pinned_version_answers_whatever_its_weight(api: httpx.Client, even: dict[str, Deployed]) -> None:
    set_weights(api, {"1": 1.0})
    for pinned in ("1", "2"):
        response = api.post(f"/v2/models/{MODEL}/versions/{pinned}/infer", json=infer_body(1))
        assert response.json()["model_version"] == pinned


def test_an_input_of_another_version_is_accepted(api: httpx.Client, even: dict[str, Deployed]) -> None:
    body: dict[str, Any] = infer_body(1)
    body["inputs"].append({"name": "extra", "shape": [1], "datatype": "FP64", "data": [1]})
    for pinned in ("1", "2"):
        assert api.post(f"/v2/models/{MODEL}/versions/{pinned}/infer", json=body).status_code == 200


def changed(tensor_name: str, **change: Any) -> dict[str, Any]:
    body: dict[str, Any] = infer_body(1)
    body["inputs"] = [{**tensor, **change} if tensor["name"] == tensor_name else tensor for tensor in body["inputs"]]
    return body


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("nothing/infer", infer_body(1), 404, "model 'nothing' is not served here; served: "),
        (f"{MODEL}/versions/9/infer", infer_body(1), 404, "version '9' of scorer is not deployed; deployed: 1, 2"),
        (f"{MODEL}/infer", changed("x", name="y"), 400, "has no input 'y'; it takes x, user"),
        (f"{MODEL}/infer", {"inputs": infer_body(1)["inputs"][1:]}, 400, "needs the input x"),  # type: ignore[index]
        (f"{MODEL}/infer", changed("x", datatype="BYTES", data=["a"]), 400, "input x takes float64; got text"),
        (f"{MODEL}/infer", changed("x", shape=[2], data=[1, 2]), 400, "same number of rows; got x: 2, user: 1"),
        (f"{MODEL}/infer", changed("x", shape=[1, 1, 1]), 400, "takes the shape [rows] or [rows, 1]"),
        (f"{MODEL}/infer", changed("x", shape=[3]), 400, "shape [3] needs 3 values; data has 1"),
        (f"{MODEL}/infer", {"outputs": [{"name": "z"}], **infer_body(1)}, 400, "has no output 'z'; it gives score"),
        (f"{MODEL}/infer", {"instances": [1]}, 400, "not a V2 inference request"),
        (f"{MODEL}/infer", infer_body(-2000), 500, "the model raised ValueError: x below -1000"),
    ],
)
def test_errors_have_the_protocols_form(
    api: httpx.Client, even: dict[str, Deployed], path: str, body: dict[str, Any], status: int, sentence: str
) -> None:
    response = api.post(f"/v2/models/{path}", json=body)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert sentence in response.json()["error"]


def test_limits_of_body_and_rows(driver: Settings, api: httpx.Client, even: dict[str, Deployed]) -> None:
    rows = driver.gateway.max_rows + 1
    body = {
        "inputs": [
            {"name": "x", "shape": [rows], "datatype": "FP64", "data": [0] * rows},
            {"name": "user", "shape": [rows], "datatype": "BYTES", "data": ["u"] * rows},
        ]
    }
    assert api.post(f"/v2/models/{MODEL}/infer", json=body).status_code == 413
    response = api.post(f"/v2/models/{MODEL}/infer", content=b" " * (driver.gateway.max_body_bytes + 1))
    assert response.status_code == 413


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic abc"])
def test_the_route_table_needs_the_admin_key(
    driver: Settings, even: dict[str, Deployed], authorization: str | None
) -> None:
    headers = {"authorization": authorization} if authorization else {}
    url = f"{driver.gateway.url}/routes/{MODEL}"
    for response in (httpx.get(url, headers=headers), httpx.put(url, headers=headers, json={"weights": {"1": 1}})):
        assert response.status_code == 401
        assert "scope admin" in response.json()["error"]


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"weights": {"1": 0.5, "2": 0.4}}, 400, "sum to 0.9"),
        ({"weights": {"3": 1}}, 400, "version 3 of scorer is not deployed; deployed: 1, 2"),
        ({"weights": {"1": 2, "2": -1}}, 400, "from 0 to 1"),
        ({"weight": {"1": 1}}, 400, "body.weights: Field required"),
        ({"weights": {"1": 1}, "if_revision": 7}, 409, "if_revision is 7, but revision"),
    ],
)
def test_changes_that_are_refused_change_nothing(
    api: httpx.Client, even: dict[str, Deployed], change: dict[str, Any], status: int, sentence: str
) -> None:
    before = api.get(f"/routes/{MODEL}").json()["revision"]
    response = api.put(f"/routes/{MODEL}", json=change)
    assert response.status_code == status
    assert sentence in response.json()["error"]
    assert api.get(f"/routes/{MODEL}").json()["revision"] == before


@pytest.fixture
def shadowed(driver: Settings, api: httpx.Client, deployed: dict[str, Deployed]) -> Iterator[None]:
    """Version 2 under trial: it has no weight, and is asked whatever version 1 is asked."""

    async def change(release_context: ReleaseContext | None) -> None:
        redis = connect(driver.redis)
        table = await RouteStore(redis).change(
            MODEL, lambda held, now_ms: with_release_context(held, {"1": 1.0}, release_context, held.fence, now_ms)
        )
        await await_followed(gateway_handle(driver.gateway.app_name), MODEL, table.revision, 10)
        if release_context is None:
            await SampleStore(redis).drop(RELEASE)
        await redis.aclose()

    asyncio.run(change(ReleaseContext(RELEASE, "1", "2", mirror=1.0, agreement=OutputMatch("score", 0.0))))
    yield
    asyncio.run(change(None))


def test_a_release_decides_the_weights_and_is_shown(
    driver: Settings, api: httpx.Client, even: dict[str, Deployed], shadowed: None
) -> None:
    before = api.get(f"/routes/{MODEL}").json()
    assert before["trial"] == {"release": RELEASE, "champion": "1", "challenger": "2", "mirror": 1.0}
    refused = api.put(f"/routes/{MODEL}", json={"weights": {"1": 0.5, "2": 0.5}})
    assert refused.status_code == 409
    assert f"the weights of {MODEL} are those of release {RELEASE}, which is under way" in refused.json()["error"]
    assert api.get(f"/routes/{MODEL}").json()["revision"] == before["revision"]


def test_a_mirrored_challenger_answers_everything_unseen_by_callers(
    driver: Settings, api: httpx.Client, even: dict[str, Deployed], shadowed: None
) -> None:
    for number in range(30):
        response = api.post(f"/v2/models/{MODEL}/infer", json={"id": f"shadow-{number}", **infer_body(1)})
        assert (response.status_code, response.headers["x-model-version"]) == (200, "1")
    pinned = api.post(f"/v2/models/{MODEL}/infer", json=infer_body(1), headers={"x-model-version": "2"})
    assert pinned.headers["x-model-version"] == "2"
    anonymous = httpx.post(
        f"{driver.gateway.url}/v2/models/{MODEL}/infer", json=infer_body(1), headers={"x-model-version": "2"}
    )
    assert anonymous.status_code == 403

    async def read() -> tuple[dict[str, dict[str, Sums]], list[Prediction]]:
        redis, sink = connect(driver.redis), connect_sink(driver)
        try:
            async with asyncio.timeout(20):
                while True:
                    sums: dict[str, dict[str, Sums]] = {}
                    for tick in (await SampleStore(redis).ticks(RELEASE, int(time.time()))).values():
                        for metric, arms in tick.items():
                            for arm, found in arms.items():
                                held = sums.setdefault(metric, {})
                                held[arm] = held.get(arm, Sums()).plus(found)
                    entries = await sink.predictions.read(MODEL, "0", 100_000, 0.2)
                    events = [entry.record for entry in entries if entry.record is not None and entry.record.mirrored]
                    if len(events) == sums.get("errors/pairs", {}).get("champion", Sums()).n == 30:
                        return sums, events
                    await asyncio.sleep(0.1)
        finally:
            await redis.aclose()
            await sink.close()

    sums, events = asyncio.run(read())
    assert sums == {
        "errors/pairs": {"challenger": Sums(30), "champion": Sums(30)},
        "agreement": {"challenger": Sums(30), "champion": Sums(30)},
    }
    assert {(event.version, event.status, event.weight) for event in events} == {("2", 200, 0.0)}
    assert {event.request_id for event in events} == {f"shadow-{number}" for number in range(30)}


def test_every_replica_is_read_back(driver: Settings, api: httpx.Client, even: dict[str, Deployed]) -> None:
    table = set_weights(api, {"1": 0.25, "2": 0.75})
    assert table["followed"]["replicas"] >= driver.gateway.min_replicas
    assert api.get(f"/routes/{MODEL}").json()["revision"] == table["revision"]


def test_a_version_with_weight_cannot_be_removed(driver: Settings, even: dict[str, Deployed]) -> None:
    async def remove() -> Followed:
        redis = connect(driver.redis)
        try:
            return await take_down(RouteStore(redis), gateway_handle(driver.gateway.app_name), MODEL, "2")
        finally:
            await redis.aclose()

    with pytest.raises(RouteError, match=r"version 2 of scorer has weight 0\.5 and cannot be removed"):
        asyncio.run(remove())


def test_a_model_that_raises_fails_over_and_is_named_in_the_reply(
    api: httpx.Client, even: dict[str, Deployed]
) -> None:
    """Version 2 raises on every request, version 1 does not take the input at fault: no caller may notice."""
    body: dict[str, Any] = infer_body(1)
    body["inputs"].append({"name": "extra", "shape": [1], "datatype": "FP64", "data": [-1]})
    pinned = api.post(f"/v2/models/{MODEL}/versions/2/infer", json=body)
    assert pinned.status_code == 500
    assert "the model raised ValueError: extra below 0" in pinned.json()["error"]

    failed = []
    for number in range(100):
        response = api.post(f"/v2/models/{MODEL}/infer", json=body, headers={"x-sticky-key": str(number)})
        assert (response.status_code, response.headers["x-model-version"]) == (200, "1")
        failed.append(response.headers.get("x-failed-versions", ""))
    assert failed.count("2") >= 5
    assert set(failed) == {"2", ""}
    assert failed[-20:].count("2") <= 5  # by now the breakers are open, and version 2 is left alone

    answers: list[str] = []
    started = time.monotonic()
    while "2" not in answers[-30:]:  # until the breakers let it back
        assert time.monotonic() - started < 180
        answers.append(
            api.post(f"/v2/models/{MODEL}/infer", json=infer_body(1, f"u{len(answers)}")).headers["x-model-version"]
        )


def test_a_call_that_hangs_ends_at_its_deadline(
    driver: Settings, api: httpx.Client, even: dict[str, Deployed]
) -> None:
    response = api.post(f"/v2/models/{MODEL}/versions/1/infer", json=infer_body(2000))
    assert response.status_code == 504
    # The version's one model thread is still busy, and a gateway replica's breaker open: wait until all is well.
    answers: list[int] = []
    started = time.monotonic()
    while answers[-30:] != [200] * 30:
        assert time.monotonic() - started < 180
        answers.append(api.post(f"/v2/models/{MODEL}/versions/1/infer", json=infer_body(1)).status_code)


def test_weights_move_under_load_without_a_failure(
    driver: Settings, api: httpx.Client, even: dict[str, Deployed]
) -> None:
    set_weights(api, {"1": 1.0})
    with Load(driver.gateway.url, MODEL) as load:
        for share in (0.1, 0.5, 1.0):
            load.await_answers(200)
            set_weights(api, {"1": 1 - share, "2": share})
        load.await_answers(200)
    assert load.failures == []
    assert set(load.versions) == {"1", "2"}


def replica_pids(app: str) -> list[int]:
    actors = list_actors(filters=[("state", "=", "ALIVE")], limit=1000)
    return [
        actor.pid for actor in actors if actor.pid and actor.name and actor.name.startswith(f"SERVE_REPLICA::{app}#")
    ]


def await_replicas(app: str, count: int, besides: set[int], timeout_s: float = 180) -> None:
    deadline = time.monotonic() + timeout_s
    while len(set(replica_pids(app)) - besides) < count:
        assert time.monotonic() < deadline, f"{app} did not come back to {count} replicas"
        time.sleep(0.3)


def test_a_lost_version_replica_loses_no_request(
    driver: Settings, api: httpx.Client, even: dict[str, Deployed]
) -> None:
    app = even["2"].app
    with Load(driver.gateway.url, MODEL) as load:
        load.await_answers(100)
        lost = set(replica_pids(app))
        for pid in lost:
            os.kill(pid, signal.SIGKILL)
        load.await_answers(300)
        await_replicas(app, 1, besides=lost)
        load.await_answers(200)
    assert load.failures == []


def test_a_lost_gateway_replica_loses_only_requests_that_can_be_retried(
    driver: Settings, api: httpx.Client, even: dict[str, Deployed]
) -> None:
    app = driver.gateway.app_name
    with Load(driver.gateway.url, MODEL, tries=3) as load:
        load.await_answers(100)
        lost = replica_pids(app)[0]
        os.kill(lost, signal.SIGKILL)
        load.await_answers(300)
        await_replicas(app, driver.gateway.min_replicas, besides={lost})
        load.await_answers(100)
    assert load.failures == []
    deadline = time.monotonic() + 180
    while api.get(f"/routes/{MODEL}").json()["followed"]["replicas"] < driver.gateway.min_replicas:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_replica_starts_beside_a_table_whose_applications_are_gone(
    driver: Settings, api: httpx.Client, even: dict[str, Deployed]
) -> None:
    """The state after the loss of a whole Ray cluster: Redis kept the table, nothing of it runs."""

    async def write() -> None:
        redis = connect(driver.redis)
        table = with_weights(with_version(new_table("ghost", 1), "1", "ghost-v1-gone", 1), {"1": 1.0}, 1)
        await RouteStore(redis).write(0, table)
        await redis.aclose()

    asyncio.run(write())
    app = driver.gateway.app_name
    lost = replica_pids(app)[0]
    os.kill(lost, signal.SIGKILL)
    await_replicas(app, driver.gateway.min_replicas, besides={lost})
    deadline = time.monotonic() + 180
    while api.get(f"/routes/{MODEL}").json()["followed"]["replicas"] < driver.gateway.min_replicas:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    for _ in range(20):
        assert api.post(f"/v2/models/{MODEL}/infer", json=infer_body(1)).status_code == 200
        assert api.post("/v2/models/ghost/infer", json=infer_body(1)).status_code == 503


def test_the_last_good_table_serves_while_redis_is_away(
    driver: Settings, api: httpx.Client, even: dict[str, Deployed], redis_pid: Any
) -> None:
    set_weights(api, {"1": 0.5, "2": 0.5})
    with Load(driver.gateway.url, MODEL) as load:
        load.await_answers(100)
        os.kill(redis_pid(), signal.SIGSTOP)  # away, and not restarted by its supervisor
        try:
            load.await_answers(200)
            refused = api.put(f"/routes/{MODEL}", json={"weights": {"1": 1.0}})
            assert refused.status_code == 503
            assert "Redis is away" in refused.json()["error"]
        finally:
            os.kill(redis_pid(), signal.SIGCONT)
        os.kill(redis_pid(), signal.SIGKILL)  # and now for good: a new server with the old data takes its place
        load.await_answers(300)
        deadline = time.monotonic() + 180
        while api.put(f"/routes/{MODEL}", json={"weights": {"1": 0.9, "2": 0.1}}).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        load.await_answers(100)
    assert load.failures == []
    assert set(load.versions) == {"1", "2"}
