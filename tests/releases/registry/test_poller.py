"""The look at what the registry asks for, with a registry and a controller that do as the test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.registry import RegistryError
from app.releases.control.controller import AdmissionError
from app.releases.control.release_store import AuditEntry, LiveReleaseError
from app.releases.model.plan import ReleasePlan
from app.releases.model.release import Release
from app.releases.model.release_request import ReleaseRequest, plan_of
from app.releases.registry.poller import RegistryPoller
from tests.releases.documents import release
from tests.support.eventually import eventually

YAML = "strategy: canary\nsteps: [{weight: 0.1, gate: person}]"
ASKED = ReleaseRequest("flights", "2", "tag tidegate.release.plan of version 2", YAML, {}, "mark-2")


@dataclass
class World:
    """Registry, controller, audit log and route tables."""

    asked: list[ReleaseRequest] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    looks: int = 0
    away: bool = False
    held_up: threading.Event | None = None
    token: int | None = 7
    live: set[str] = field(default_factory=set)
    error: Exception | None = None
    begun: list[tuple[Any, ...]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def requests(self, served: Collection[str]) -> list[ReleaseRequest]:
        self.looks += 1
        if self.held_up is not None:
            self.held_up.wait(20)
        if self.away:
            raise RegistryError("MLflow is away")
        assert list(served) == ["flights"]
        return [request for request in self.asked if request.mark not in self.marks]

    def mark(self, request: ReleaseRequest, said: str) -> None:
        self.marks[request.mark] = said

    def busy(self) -> frozenset[str]:
        return frozenset(self.live)

    async def begin(
        self, model: str, version: str, plan: ReleasePlan, who: str, mark: str | None = None, since: int | None = None
    ) -> Release:
        if self.error is not None:
            raise self.error
        assert mark is not None
        self.begun.append((model, version, plan.strategy, who, since))
        self.live.add(model)
        self.marks[mark] = "r1"
        return release(model=model, challenger=version, plan=plan)

    async def append_audit(self, entry: AuditEntry, token: int) -> None:
        assert (entry.who, entry.release, token) == ("registry", "", self.token)
        self.said.append(entry.what)

    async def read_all(self) -> Collection[str]:
        return {"flights": None}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def watch(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RegistryPoller]:
    monkeypatch.setattr("app.releases.registry.poller.GAP_S", 0.01)
    watch = RegistryPoller(0.02, world, world, world, world, lookup_s=0.1)
    yield watch
    await watch.stop()


async def looked(world: World, times: int = 2) -> None:
    """Until so many more looks have begun."""
    wanted = world.looks + times
    await eventually(lambda: world.looks >= wanted)


async def test_what_is_asked_for_is_begun_once_and_in_turn(world: World, watch: RegistryPoller) -> None:
    later = ReleaseRequest(
        "flights", "3", "alias challenger of version 3", None, {"tidegate.release.plan": YAML}, "mark-3"
    )
    world.asked = [ASKED, later]
    watch.start()
    await eventually(lambda: bool(world.begun))
    await looked(world)
    assert world.begun == [("flights", "2", "canary", "registry", 7)]
    world.live.clear()
    await eventually(lambda: len(world.begun) == 2)
    world.live.clear()
    await looked(world)
    assert [version for _, version, *_ in world.begun] == ["2", "3"]
    assert world.said == []


@pytest.mark.parametrize(
    ("request_", "error", "why"),
    [
        (ASKED, AdmissionError("version 2: it has no signature"), "version 2: it has no signature"),
        (
            ReleaseRequest("flights", "2", "it", "strategy: fast", {}, "mark-2"),
            None,
            "tidegate.release.plan: strategy",
        ),
    ],
)
async def test_a_refusal_is_written_on_the_version_and_in_the_audit_log(
    world: World, watch: RegistryPoller, request_: ReleaseRequest, error: Exception | None, why: str
) -> None:
    world.asked, world.error = [request_], error
    watch.start()
    await eventually(lambda: bool(world.said))
    await looked(world)
    assert world.marks["mark-2"].startswith(f"refused: {why}")
    assert len(world.said) == 1
    assert f"refused: {why}" in world.said[0]
    assert world.begun == []


async def test_a_request_at_which_the_controller_fails_keeps_no_other_waiting(
    world: World, watch: RegistryPoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(request: ReleaseRequest) -> ReleasePlan:
        if request.version == "1":
            raise KeyError("a defect")
        return plan_of(request)

    monkeypatch.setattr("app.releases.registry.poller.plan_of", read)
    world.asked = [ReleaseRequest("flights", "1", "tag of version 1", YAML, {}, "mark-1"), ASKED]
    watch.start()
    await eventually(lambda: bool(world.begun))
    assert [version for _, version, *_ in world.begun] == ["2"]


async def test_an_alias_without_a_plan_is_reported_once(world: World, watch: RegistryPoller) -> None:
    alone = ReleaseRequest("flights", "2", "alias challenger of version 2", None, {}, "mark-2")
    world.asked = [alone]
    watch.start()
    await eventually(lambda: bool(world.said))
    await looked(world)
    (said,) = world.said
    assert said.startswith("alias challenger of version 2: no plan: the registered model flights has no tag")
    assert world.marks == {}
    world.asked = [ReleaseRequest("flights", "2", alone.by, None, {"tidegate.release.plan": YAML}, "mark-2")]
    await eventually(lambda: bool(world.begun))  # once it has one


async def test_a_release_that_somebody_else_began_meanwhile_is_waited_for(
    world: World, watch: RegistryPoller, caplog: pytest.LogCaptureFixture
) -> None:
    world.asked, world.error = [ASKED], LiveReleaseError("model flights has a release under way")
    watch.start()
    await looked(world)
    assert (world.marks, world.said) == ({}, [])
    world.error = None
    await eventually(lambda: bool(world.begun))


async def test_a_registry_that_is_away_is_waited_for_and_said_once(
    world: World, watch: RegistryPoller, caplog: pytest.LogCaptureFixture
) -> None:
    world.asked, world.away = [ASKED], True
    watch.start()
    await looked(world, 3)
    world.away = False
    await eventually(lambda: bool(world.begun))
    said = [record.message for record in caplog.records if record.name == "app.releases.registry.poller"]
    assert [line.split(":")[0] for line in said if "MLflow" in line] == [
        "what the registry asks for has to wait",
        "MLflow answers again; what the registry asks for is released again",
    ]


async def test_a_question_without_an_answer_is_given_up_and_not_piled_up(world: World, watch: RegistryPoller) -> None:
    world.held_up, world.asked = threading.Event(), [ASKED]
    watch.start()
    await eventually(lambda: world.looks == 1)
    await asyncio.sleep(0.3)  # three deadlines
    assert world.looks == 1
    held, world.held_up = world.held_up, None
    held.set()
    await eventually(lambda: bool(world.begun))  # by a new question: the old answer is of long ago
    assert world.looks == 2


async def test_who_does_not_lead_looks_at_nothing(world: World, watch: RegistryPoller) -> None:
    world.token, world.asked = None, [ASKED]
    watch.start()
    await asyncio.sleep(0.1)
    assert world.looks == 0
    world.token = 8
    await eventually(lambda: bool(world.begun))
    assert world.begun[0][-1] == 8


async def test_a_hint_makes_a_look_before_its_time(world: World) -> None:
    watch = RegistryPoller(3600, world, world, world, world)
    watch.start()
    await eventually(lambda: world.looks == 1)
    world.asked = [ASKED]
    watch.hint()
    await eventually(lambda: bool(world.begun))
    await watch.stop()


async def test_an_interval_of_0_looks_at_nothing(world: World) -> None:
    watch = RegistryPoller(0, world, world, world, world)
    watch.start()
    watch.hint()
    await asyncio.sleep(0.05)
    assert (watch.is_on, world.looks) == (False, 0)
    await watch.stop()
