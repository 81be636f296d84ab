"""``/releases`` over HTTP, in front of a controller that decides nothing and a real Valkey."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisAwayError

from app.redis_client import connect
from app.registry import RegistryError
from app.releases.api.event_stream import ReleaseFeed, Subscription
from app.releases.api.ingress import ControllerReplica, build_api
from app.releases.api.routes import EventStream, stream
from app.releases.control.controller import NotLeadingError, ReleaseAdmissionError, UnknownReleaseError
from app.releases.control.release_store import FencedError, LiveReleaseError, ReleaseStore
from app.releases.lifecycle.orders import Order, OrderRefusedError
from app.releases.lifecycle.phases import with_history
from app.releases.model.plan import ReleasePlan
from app.releases.model.release import Release
from app.settings import RedisSettings
from app.web.keys import Authenticator, Scope, hash_key, mint
from tests.releases.documents import release
from tests.support.eventually import eventually
from tests.support.valkey import redis, valkey, valkey_stack

__all__ = ["redis", "valkey", "valkey_stack"]

TEXT, KEY = mint("ci", [Scope.RELEASE], 0)
PREDICTS, PREDICTING = mint("shop", [Scope.PREDICT], 0)
BEGIN: dict[str, Any] = {
    "model": "flights",
    "version": 2,
    "plan": {
        "strategy": "canary",
        "steps": [{"weight": 0.1, "min_duration": "1m", "gate": "time"}],
        "guards": [{"metric": "errors"}],
    },
}


@dataclass
class Controls:
    """Keeps what it is calls, and answers with a release or raises."""

    store: ReleaseStore
    token: int
    error: Exception | None = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    async def begin(self, model: str, version: str, plan: ReleasePlan, who: str) -> Release:
        self.calls.append((model, version, plan.strategy, who))
        if self.error is not None:
            raise self.error
        begun = with_history(release(plan=plan, created=time.time(), since=time.time()), time.time(), who, "begun")
        await self.store.create(begun, self.token)
        return begun

    async def order(self, release: str, order: Order, who: str) -> Release:
        self.calls.append((release, order, who))
        if self.error is not None:
            raise self.error
        held = await self.store.read(release)
        if held is None:
            raise UnknownReleaseError(f"there is no release {release!r}")
        after = order.apply(held, who, time.time())
        await self.store.save(held, after, self.token)
        return after


@dataclass
class Stage:
    """The API and what is behind it."""

    api: FastAPI
    http: httpx.AsyncClient
    controls: Controls
    store: ReleaseStore
    feed: ReleaseFeed

    async def change(self, held: Release, **changes: Any) -> Release:
        after = held.model_copy(update=changes)
        await self.store.save(held, after, self.controls.token)
        return after


@pytest.fixture
async def stage(redis: Redis, valkey: RedisSettings) -> AsyncIterator[Stage]:
    store = ReleaseStore(redis)
    token = await store.acquire("test", 60, 0.0)
    assert token is not None
    controls = Controls(store, token)
    feed = ReleaseFeed(connect(valkey), 0.1, max_subscribers=2)
    feed.start()
    await feed.first_read()
    authenticator = Authenticator({KEY.id: KEY, PREDICTING.id: PREDICTING}, lambda: True, hash_key("admin key"))
    replica = SimpleNamespace(
        store=store, controller=controls, feed=feed, authenticator=authenticator, registry=None, webhook_secret=None
    )
    api = build_api(cast(ControllerReplica, replica))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api, raise_app_exceptions=False),
        base_url="http://test",
        headers={"authorization": f"Bearer {TEXT}"},
    ) as http:
        yield Stage(api, http, controls, store, feed)
    await feed.stop()


def error_sentence(answer: httpx.Response) -> str:
    """The sentence of an error."""
    assert answer.json().keys() == {"error"}, answer.text
    return str(answer.json()["error"])


async def test_a_release_is_begun_shown_listed_and_steered(stage: Stage) -> None:
    begun = await stage.http.post("/releases", json=BEGIN)
    assert begun.status_code == 201, begun.text
    assert begun.headers["location"] == "/releases/r1"
    assert stage.controls.calls == [("flights", "2", "canary", KEY.id)]
    shown = (await stage.http.get("/releases/r1")).json()
    assert shown == begun.json()
    assert (shown["state"], shown["step"], shown["weight"], shown["weights"]) == ("preparing", None, 0.0, {"1": 1.0})
    assert shown["plan"]["steps"][0]["min_duration"] == 60
    assert [(entry["who"], entry["what"]) for entry in shown["history"]] == [(KEY.id, "begun")]
    paused = await stage.http.post("/releases/r1/pause")
    assert (paused.status_code, paused.json()["paused"]) == (200, True)
    leaving = await stage.http.post("/releases/r1/rollback")
    assert (leaving.json()["state"], leaving.json()["weight"]) == ("restoring", None)
    assert [each["state"] for each in (await stage.http.get("/releases?model=flights")).json()] == ["restoring"]
    assert (await stage.http.get("/releases?model=other")).json() == []
    entries = (await stage.http.get("/releases/audit?model=flights&count=2")).json()
    assert [(entry["before"], entry["after"]) for entry in entries] == [
        ("preparing", "restoring"),
        ("preparing", "preparing"),
    ]


async def test_the_newest_of_one_model_are_found_behind_those_of_others(stage: Stage) -> None:
    for number in range(12):
        one = release(id=f"r{number}", model="rare" if number < 2 else "often", created=number, phase="promoted")
        await stage.store.create(one, stage.controls.token)
        await stage.store.save(one, one, stage.controls.token)
    found = await stage.http.get("/releases?model=rare&count=2")
    assert [each["id"] for each in found.json()] == ["r1", "r0"]
    assert [each["id"] for each in (await stage.http.get("/releases?count=2")).json()] == ["r11", "r10"]


async def test_the_judges_report_is_passed_on_and_what_json_cannot_say_is_null(stage: Stage) -> None:
    guard = {"name": "errors", "fail_e": float("inf"), "rate_champion": float("nan"), "n_challenger": 7}
    report = {"verdict": "fail", "fail_e": 21.0, "guards": (guard,)}
    begun = release(report=report)
    stage.controls.store = cast(ReleaseStore, SimpleNamespace(read=lambda _: _later(begun), save=_ignore))
    answer = await stage.http.post("/releases/r1/pause")  # what the controller holds, not yet read from JSON
    assert answer.json()["judge"] == {
        "verdict": "fail",
        "fail_e": 21.0,
        "guards": [{"name": "errors", "fail_e": None, "rate_champion": None, "n_challenger": 7}],
    }


async def _later(value: Release) -> Release:
    return value


async def _ignore(*_: object) -> None:
    return None


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (ReleaseAdmissionError("version 9 of flights is not there"), 400, "version 9 of flights is not there"),
        (UnknownReleaseError("there is no release 'x'"), 404, "there is no release 'x'"),
        (LiveReleaseError("model flights has a release under way"), 409, "model flights has a release under way"),
        (OrderRefusedError("it has ended"), 409, "it has ended"),
        (RegistryError("MLflow does not answer"), 503, "MLflow does not answer"),
        (NotLeadingError("another controller decides"), 503, "another controller decides"),
        (FencedError("another controller holds the lease"), 503, "another controller holds the lease"),
        (RedisAwayError("refused"), 503, "Redis is away: whether anything was changed is not known"),
        (KeyError("secret"), 500, "the controller failed (KeyError); its log says more"),
    ],
)
async def test_every_error_has_its_status_and_a_sentence(
    stage: Stage, error: Exception, status: int, sentence: str
) -> None:
    stage.controls.error = error
    for answer in (await stage.http.post("/releases", json=BEGIN), await stage.http.post("/releases/r1/promote")):
        assert answer.status_code == status
        assert error_sentence(answer).startswith(sentence)
        assert ("retry-after" in answer.headers) is (status == 503)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"plan": {**BEGIN["plan"], "mirror": 2}}, "mirror 2: "),
        ({"plan": {**BEGIN["plan"], "colour": "red"}}, "colour 'red': "),
        ({"plan": []}, "body.plan: "),
        ({"version": True}, "body.version"),
        ({"version": ""}, "body.version"),
        ({"model": ""}, "body.model: "),
        ({"when": "now"}, "body.when: "),
    ],
)
async def test_a_body_that_cannot_be_honoured_names_the_field(
    stage: Stage, change: dict[str, Any], sentence: str
) -> None:
    answer = await stage.http.post("/releases", json={**BEGIN, **change})
    assert answer.status_code == 400
    assert sentence in error_sentence(answer)
    assert stage.controls.calls == []


@pytest.mark.parametrize("length", [{"content-length": str(10**7)}, {}], ids=["by its length", "by what comes"])
async def test_a_body_without_end_is_not_read_whoever_sends_it(stage: Stage, length: dict[str, str]) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10**7:
            sent += 2**16
            yield b" " * 2**16

    headers = {"authorization": "Bearer unknown", "content-type": "application/json", **length}
    answer = await stage.http.post("/releases", content=endless(), headers=headers)
    assert (answer.status_code, list(answer.json())) == (413, ["error"])
    assert sent < 10**6


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/releases/r1/pause?full=true", "full=true with pause: accepted with promote"),
        ("/releases/r1/cancel?step=0", "step=0 with cancel: accepted with promote"),
        ("/releases/r1/promote?step=0&full=true", "full=true with step=0: accepted is one of them"),
        ("/releases/r1/promote?step=-1", "query.step"),
        ("/releases/r1/explode", "path.verb"),
    ],
)
async def test_an_order_that_cannot_be_honoured_is_not_passed_on(stage: Stage, path: str, sentence: str) -> None:
    answer = await stage.http.post(path)
    assert answer.status_code == 400
    assert sentence in error_sentence(answer)
    assert stage.controls.calls == []


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(None, 401), ("Bearer unknown", 401), (f"Bearer {PREDICTS}", 403), ("Bearer admin key", 200)],
    ids=["no key", "unknown", "predict only", "admin"],
)
async def test_every_route_wants_the_scope_release(stage: Stage, authorization: str | None, status: int) -> None:
    await stage.store.create(release(phase="promoted"), stage.controls.token)
    headers = {} if authorization is None else {"authorization": authorization}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(stage.api), base_url="http://test", headers=headers
    ) as http:
        for path in ("/releases", "/releases/audit", "/releases/r1", "/releases/r1/events"):
            assert (await http.get(path)).status_code == status, path
        if status != 200:
            for path in ("/releases", "/releases/r1/pause"):
                assert (await http.post(path, json=BEGIN)).status_code == status, path
        assert (await http.get("/releases/health")).json() == {"ready": True}


async def test_paths_are_whole_where_serve_mounts_the_application_at_its_prefix(stage: Stage) -> None:
    transport = httpx.ASGITransport(stage.api, root_path="/releases")
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        assert (await http.get("/releases/health")).status_code == 200
        assert (await http.get("/releases/docs")).status_code == 200
        assert (await http.get("/releases")).status_code == 401


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Ids and data of a stream."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            assert fields["event"] == "release"
            found.append((fields["id"], json.loads(fields["data"])))
    return found


async def test_a_subscriber_receives_the_present_state_every_change_and_the_end(stage: Stage) -> None:
    held = release()
    await stage.store.create(held, stage.controls.token)
    sent = ""

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal sent
        sent += message.get("body", b"").decode()

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    stream = asyncio.create_task(EventStream(stage.feed, held, None, 60)(scope, _no_message, send))
    await eventually(lambda: len(events(sent)) == 1)
    held = await stage.change(held, waiting_for="2 replicas")
    await eventually(lambda: len(events(sent)) == 2)
    held = await stage.change(held, judge={"seen": 1})  # which is not shown
    held = await stage.change(held, phase="step")
    await eventually(lambda: len(events(sent)) == 3)
    await stage.change(held, phase="promoted")
    await asyncio.wait_for(stream, 5)
    heard = events(sent)
    assert [(body["state"], body["waiting_for"]) for _, body in heard] == [
        ("preparing", ""),
        ("preparing", "2 replicas"),
        ("step", "2 replicas"),
        ("promoted", ""),
    ]
    assert stage.feed.count == 0
    assert (await stage.http.get("/releases/r1/events", headers={"last-event-id": heard[-1][0]})).status_code == 204
    again = await stage.http.get("/releases/r1/events", headers={"last-event-id": heard[-2][0]})
    assert again.headers["content-type"].startswith("text/event-stream")
    assert events(again.text) == heard[-1:]


async def _no_message() -> MutableMapping[str, Any]:
    raise AssertionError("a stream reads nothing")


async def test_a_change_is_sent_though_its_announcement_was_lost(stage: Stage, redis: Redis) -> None:
    held = release()
    await stage.store.create(held, stage.controls.token)
    streamed = asyncio.create_task(stage.http.get("/releases/r1/events"))
    await eventually(lambda: stage.feed.count == 1)
    ended = held.model_copy(update={"phase": "cancelled"})
    await redis.set("tidegate:{releases}:doc:r1", ended.model_dump_json())
    assert events((await asyncio.wait_for(streamed, 5)).text)[-1][1]["state"] == "cancelled"


async def test_subscribers_are_bounded_and_end_with_the_replica(stage: Stage) -> None:
    await stage.store.create(release(), stage.controls.token)
    streams = [asyncio.create_task(stage.http.get("/releases/r1/events")) for _ in range(2)]
    await eventually(lambda: stage.feed.count == 2)
    refused = await stage.http.get("/releases/r1/events")
    assert refused.status_code == 503
    assert "2 callers follow releases here already" in error_sentence(refused)
    streams[0].cancel()
    await eventually(lambda: stage.feed.count == 1)
    await stage.feed.stop()
    assert (await asyncio.wait_for(streams[1], 5)).status_code == 200
    assert stage.feed.count == 0


async def test_a_quiet_stream_is_kept_alive() -> None:
    subscription = Subscription()
    subscription.update(release())
    pieces = stream(subscription, None, keep_alive_s=0.01)
    heard = [await anext(pieces) for _ in range(4)]
    assert heard[1].startswith("event: release")
    assert heard[2:] == [": still there\n\n"] * 2


async def test_the_document_describes_every_route_and_error(stage: Stage) -> None:
    document = (await stage.http.get("/releases/openapi.json")).json()
    assert set(document["paths"]) == {
        "/releases",
        "/releases/health",
        "/releases/registry-events",
        "/releases/audit",
        "/releases/{release}",
        "/releases/{release}/{verb}",
        "/releases/{release}/events",
    }
    assert set(document["paths"]["/releases"]["post"]["responses"]) == {
        "201", "400", "401", "403", "409", "413", "500", "503",
    }  # fmt: skip
    assert "422" not in json.dumps(document)
    assert "ReleasePlan" in document["components"]["schemas"]
    references = set(_references(document))
    assert references
    assert references <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for each in node for found in _references(each)]
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for each in node.values() for found in _references(each)]
    return []
