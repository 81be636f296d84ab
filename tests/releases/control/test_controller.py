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
from app.releases.control import action_executor as effects
from app.releases.control import cluster_state as world
from app.releases.control import controller as module
from app.releases.control.admission import Candidate
from app.releases.control.cluster_state import Applications
from app.releases.control.controller import Controller, NotLeadingError
from app.releases.control.evaluation import GuardEvaluator
from app.releases.control.release_store import ROOT, LiveReleaseError, ReleaseStore
from app.releases.model.release import Note, Release
from app.routing.route_store import RouteStore
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
    labels = SimpleNamespace(follow=lambda *_: None)
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


async def test_who_is_fenced_ends_its_errands(controller: Controller, store: Store, deployments: Deployments) -> None:
    found = await begun(controller, deployments)
    assert await store.acquire("second", 60, 1e11) is not None
    with pytest.raises(NotLeadingError):
        await controller.order(found.id, "pause", "key")
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
        await controller.order(found.id, "rollback", "key")
    async with asyncio.timeout(5):
        while (held := await store.read(found.id)) is None or held.phase != "preparing":
            await asyncio.sleep(0.02)
    assert (await controller.order(found.id, "rollback", "key")).phase == "restoring"


async def test_what_redis_lost_of_a_release_it_is_told_again(
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
