"""The controller against a real Redis, beside an MLflow and a Ray Serve that only stand there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisAwayError

from app.model_spec import ModelSpec
from app.monitoring.samples import SampleStore
from app.monitoring.samples.encoding import encode, field_of, key_of
from app.monitoring.sums import Sums, Tick
from app.releases.api.release_body import release_body
from app.releases.control import action_executor as effects
from app.releases.control import cluster_state as world
from app.releases.control import controller as module
from app.releases.control.cluster_state import Applications
from app.releases.control.controller import Controller, NotLeadingError
from app.releases.control.evaluation import GuardEvaluator
from app.releases.control.release_admission import Candidate
from app.releases.control.release_store import ROOT, LiveReleaseError, ReleaseStore
from app.releases.lifecycle.orders import Pause, Rollback
from app.releases.model.release import Note, Release
from app.routing.readback import NotFollowedError
from app.routing.route_store import RouteStore
from app.routing.route_table import RouteError, RouteTable, with_version, with_weights
from app.serving.deploy import DeployError
from app.settings import Settings
from tests.releases.documents import plan, release
from tests.support.eventually import eventually
from tests.support.valkey import redis, valkey, valkey_stack

__all__ = ["redis", "valkey", "valkey_stack"]


class Store(ReleaseStore):
    """A store whose Redis goes away behind the next write, or before the next renewal of the lease."""

    lost_replies = 0
    away = 0

    async def acquire(self, owner: str, lease_s: float, born: float) -> int | None:
        if self.away:
            self.away -= 1
            raise RedisAwayError("away")
        return await super().acquire(owner, lease_s, born)

    async def _put(self, *args: Any, **kwargs: Any) -> None:
        await super()._put(*args, **kwargs)
        if self.lost_replies:
            self.lost_replies -= 1
            raise RedisAwayError("the reply was lost")


class Deployments:
    """Deployments that never end by themselves."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0

    async def bring_up(self, *_: Any) -> None:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.fixture
def deployments(monkeypatch: pytest.MonkeyPatch) -> Deployments:
    found = Deployments()
    monkeypatch.setattr(effects, "bring_up", found.bring_up)
    monkeypatch.setattr(effects, "connect", lambda _: None)
    monkeypatch.setattr(effects, "deliver", lambda *_: None)
    monkeypatch.setattr(world, "applications_now", lambda: Applications({}, {}))
    monkeypatch.setattr(module, "connect_registry", lambda _: None)
    spec = ModelSpec(model="flights", version="2", inputs=(), outputs=(), columns=True)
    monkeypatch.setattr(module, "candidate", lambda *_: Candidate("2", spec, side_effects=False))
    return found


@pytest.fixture
def store(redis: Redis) -> Store:
    return Store(redis)


@pytest.fixture
async def controller(redis: Redis, store: Store, deployments: Deployments) -> AsyncIterator[Controller]:
    labels = SimpleNamespace(join_release=lambda *_: None)
    gateway = cast(Any, lambda: None)
    evaluator = GuardEvaluator(SampleStore(redis))
    controller = Controller(Settings(), "first", store, RouteStore(redis), gateway, evaluator, labels)
    controller.start()
    await eventually(lambda: controller.token is not None)
    yield controller
    await controller.stop()


async def begun(controller: Controller, deployments: Deployments) -> Release:
    found = await controller.begin("flights", "2", plan(), "key")
    await eventually(lambda: bool(deployments.begun))
    return found


async def test_a_fenced_controller_cancels_its_background_tasks(
    controller: Controller, store: Store, deployments: Deployments
) -> None:
    found = await begun(controller, deployments)
    assert await store.acquire("second", 60, 1e11) is not None
    with pytest.raises(NotLeadingError):
        await controller.order(found.id, Pause(), "key")
    await eventually(lambda: deployments.cancelled == 1)


async def test_a_release_whose_beginning_was_not_confirmed_is_taken_up(
    controller: Controller, store: Store, deployments: Deployments
) -> None:
    store.lost_replies = 1
    with pytest.raises(RedisAwayError):
        await controller.begin("flights", "2", plan(), "key")
    await eventually(lambda: controller.busy() == {"flights"})
    await eventually(lambda: bool(deployments.begun))


async def test_an_order_that_was_not_confirmed_does_not_stay_in_redis_alone(
    controller: Controller, store: Store, deployments: Deployments
) -> None:
    found = await begun(controller, deployments)
    store.lost_replies = 1
    with pytest.raises(RedisAwayError):
        await controller.order(found.id, Rollback(), "key")
    async with asyncio.timeout(5):
        while (held := await store.read(found.id)) is None or held.phase != "preparing":
            await asyncio.sleep(0.02)
    assert (await controller.order(found.id, Rollback(), "key")).phase == "restoring"


async def test_a_release_that_redis_lost_is_stored_again(
    controller: Controller, store: Store, redis: Redis, deployments: Deployments
) -> None:
    found = await begun(controller, deployments)
    await redis.delete(*(f"{ROOT}:{name}" for name in ("index", "live:flights", f"doc:{found.id}")))
    store.away = 1
    async with asyncio.timeout(5):
        while [held.id for held in await store.live()] != [found.id]:
            await asyncio.sleep(0.02)
    with pytest.raises(LiveReleaseError):
        await controller.begin("flights", "2", plan(), "key")


async def test_a_release_whose_end_redis_lost_is_ended_again(
    controller: Controller, store: Store, deployments: Deployments
) -> None:
    await store.create(
        release(phase="removing", ending="cancelled", model="other", champion=None, before={}), controller.token or 0
    )
    store.away = 1
    async with asyncio.timeout(5):
        while (held := await store.read("r1")) is None or not held.is_final:
            await asyncio.sleep(0.02)
    assert held.phase == "cancelled"


async def test_a_release_that_cannot_be_looked_at_keeps_no_other_waiting(
    controller: Controller, store: Store, redis: Redis, deployments: Deployments
) -> None:
    await store.create(release(id="r0", model="broken"), controller.token or 0)
    # half a failure there is not
    sums: Tick = {"errors": {"challenger": Sums(1, 0.5, 0.25), "champion": Sums(1, 0.0, 0.0)}}
    await redis.hset(key_of("r0"), field_of(1, "writer"), encode(sums))
    store.away = 1
    await eventually(lambda: controller.busy() == {"broken"})
    await begun(controller, deployments)


async def test_a_new_champion_whose_deployment_fails_is_not_given_up(
    controller: Controller, store: Store, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> None:
        deployments.begun += 1
        raise DeployError("no room for it")

    monkeypatch.setattr(effects, "bring_up", fails)
    note = Note(kind="alias", name="champion", version="2", number=1)
    held = release(phase="committing", champion=None, before={}, outbox=(note,), notes=1)
    monkeypatch.setattr(effects, "deliver", lambda *_: time.sleep(1.5))
    await store.create(held, controller.token or 0)
    store.away = 1
    await eventually(lambda: deployments.begun >= 2)


APPS = {"1": "flights-v1-a", "2": "flights-v2-b"}
BACK: dict[str, Any] = {"phase": "removing", "ending": "cancelled", "since": 1.0}
NOTE = Note(kind="alias", name="champion", version="2", number=1)


async def fails(*_: Any) -> None:
    raise NotFollowedError("it broke")


async def succeeds(*_: Any) -> None:
    return None


def breaks(*_: Any) -> None:
    raise RouteError("it broke")


@pytest.mark.parametrize(
    ("changes", "weights", "broken", "why"),
    [
        ({}, {"1": 1.0}, "bring_up", "version 2 could not be deployed: it broke"),
        ({}, {"1": 1.0, "2": 0.0}, "replicas", "version 2 has too few replicas: no node has 99 CPUs"),
        ({}, {"1": 1.0, "2": 0.0}, "with_release_context", "the weights could not be written: it broke"),
        ({}, {"1": 1.0, "2": 0.0}, "await_followed", "a gateway replica is behind: it broke"),
        (BACK, {"1": 1.0, "2": 0.0}, "take_down", "version 2 could not be deleted: it broke"),
        (
            {"phase": "retiring", "inline": True, "since": 4e9},
            {"2": 1.0},
            "move_inline",
            "version 2 could not be moved into the gateway replicas: it broke",
        ),
        (
            {"phase": "committing", "outbox": (NOTE,), "notes": 1},
            {"1": 0.0, "2": 1.0},
            "deliver",
            "the registry did not take a note: it broke",
        ),
    ],
)
async def test_a_stored_release_says_why_it_waits(
    controller: Controller,
    store: Store,
    redis: Redis,
    deployments: Deployments,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    weights: dict[str, float],
    broken: str,
    why: str,
) -> None:
    def table(held: RouteTable, now_ms: int) -> RouteTable:
        for version in weights:
            held = with_version(held, version, APPS[version], now_ms)
        return with_weights(held, weights, now_ms)

    replicas = {APPS[version]: 2 for version in weights}
    messages = {}
    for name in ("take_down", "move_inline"):
        monkeypatch.setattr(effects, name, succeeds)
    if broken == "replicas":
        replicas[APPS["2"]], messages[APPS["2"]] = 0, "no node has 99 CPUs"
    elif broken in ("with_release_context", "deliver"):
        monkeypatch.setattr(effects, broken, breaks)
    else:
        monkeypatch.setattr(world if broken == "await_followed" else effects, broken, fails)
    if broken != "await_followed":
        monkeypatch.setattr(world, "await_followed", succeeds)
    monkeypatch.setattr("ray.serve.get_deployment_handle", lambda *_: None)
    found = Applications(dict.fromkeys(replicas, "RUNNING"), replicas, messages)
    monkeypatch.setattr(world, "applications_now", lambda: found)
    await RouteStore(redis).change("flights", table)
    await store.create(release(**{"since": time.time(), **changes}), controller.token or 0)
    store.away = 1
    async with asyncio.timeout(10):
        while (held := await store.read("r1")) is None or held.waiting_because != why:
            await asyncio.sleep(0.02)
    assert release_body(held).waiting_because == why
