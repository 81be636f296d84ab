"""The look at what the registry asks for, with a registry and a controller that do as the test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.registry import RegistryError
from app.releases.control.controller import ReleaseAdmissionError
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
class Stage:
    """Registry, controller, audit log and route tables."""

    requested: list[ReleaseRequest] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    looks: int = 0
    away: bool = False
    held_up: threading.Event | None = None
    token: int | None = 7
    live: set[str] = field(default_factory=set)
    error: Exception | None = None
    begun: list[tuple[Any, ...]] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)

    def requests(self, served: Collection[str]) -> list[ReleaseRequest]:
        self.looks += 1
        if self.held_up is not None:
            self.held_up.wait(20)
        if self.away:
            raise RegistryError("MLflow is away")
        assert list(served) == ["flights"]
        return [request for request in self.requested if request.mark not in self.marks]

    def mark(self, request: ReleaseRequest, outcome: str) -> None:
        self.marks[request.mark] = outcome

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
        self.reported.append(entry.what)

    async def read_all(self) -> Collection[str]:
        return {"flights": None}


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def watch(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RegistryPoller]:
    monkeypatch.setattr("app.releases.registry.poller.GAP_S", 0.01)
    watch = RegistryPoller(0.02, stage, stage, stage, stage, lookup_s=0.1)
    yield watch
    await watch.stop()


async def looked(stage: Stage, times: int = 2) -> None:
    """Waits until `times` more looks have begun."""
    wanted = stage.looks + times
    await eventually(lambda: stage.looks >= wanted)


async def test_requests_are_begun_once_and_in_turn(stage: Stage, watch: RegistryPoller) -> None:
    later = ReleaseRequest(
        "flights", "3", "alias challenger of version 3", None, {"tidegate.release.plan": YAML}, "mark-3"
    )
    stage.requested = [ASKED, later]
    watch.start()
    await eventually(lambda: bool(stage.begun))
    await looked(stage)
    assert stage.begun == [("flights", "2", "canary", "registry", 7)]
    stage.live.clear()
    await eventually(lambda: len(stage.begun) == 2)
    stage.live.clear()
    await looked(stage)
    assert [version for _, version, *_ in stage.begun] == ["2", "3"]
    assert stage.reported == []


@pytest.mark.parametrize(
    ("request_", "error", "why"),
    [
        (ASKED, ReleaseAdmissionError("version 2: it has no signature"), "version 2: it has no signature"),
        (
            ReleaseRequest("flights", "2", "it", "strategy: fast", {}, "mark-2"),
            None,
            "tidegate.release.plan: strategy",
        ),
    ],
)
async def test_a_refusal_is_written_on_the_version_and_in_the_audit_log(
    stage: Stage, watch: RegistryPoller, request_: ReleaseRequest, error: Exception | None, why: str
) -> None:
    stage.requested, stage.error = [request_], error
    watch.start()
    await eventually(lambda: bool(stage.reported))
    await looked(stage)
    assert stage.marks["mark-2"].startswith(f"refused: {why}")
    assert len(stage.reported) == 1
    assert f"refused: {why}" in stage.reported[0]
    assert stage.begun == []


async def test_a_request_at_which_the_controller_fails_keeps_no_other_waiting(
    stage: Stage, watch: RegistryPoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(request: ReleaseRequest) -> ReleasePlan:
        if request.version == "1":
            raise KeyError("a defect")
        return plan_of(request)

    monkeypatch.setattr("app.releases.registry.poller.plan_of", read)
    stage.requested = [ReleaseRequest("flights", "1", "tag of version 1", YAML, {}, "mark-1"), ASKED]
    watch.start()
    await eventually(lambda: bool(stage.begun))
    assert [version for _, version, *_ in stage.begun] == ["2"]


async def test_an_alias_without_a_plan_is_reported_once(stage: Stage, watch: RegistryPoller) -> None:
    alone = ReleaseRequest("flights", "2", "alias challenger of version 2", None, {}, "mark-2")
    stage.requested = [alone]
    watch.start()
    await eventually(lambda: bool(stage.reported))
    await looked(stage)
    (said,) = stage.reported
    assert said.startswith("alias challenger of version 2: no plan: the registered model flights has no tag")
    assert stage.marks == {}
    stage.requested = [ReleaseRequest("flights", "2", alone.by, None, {"tidegate.release.plan": YAML}, "mark-2")]
    await eventually(lambda: bool(stage.begun))  # once it has one


async def test_a_release_that_somebody_else_began_meanwhile_is_waited_for(
    stage: Stage, watch: RegistryPoller, caplog: pytest.LogCaptureFixture
) -> None:
    stage.requested, stage.error = [ASKED], LiveReleaseError("model flights has a release under way")
    watch.start()
    await looked(stage)
    assert (stage.marks, stage.reported) == ({}, [])
    stage.error = None
    await eventually(lambda: bool(stage.begun))


async def test_an_unreachable_registry_is_retried_and_logged_once(
    stage: Stage, watch: RegistryPoller, caplog: pytest.LogCaptureFixture
) -> None:
    stage.requested, stage.away = [ASKED], True
    watch.start()
    await looked(stage, 3)
    stage.away = False
    await eventually(lambda: bool(stage.begun))
    await eventually(lambda: len(lines(caplog)) == 2)
    failed, works = lines(caplog)
    assert failed == (
        "looking at what the registry asks for failed (MLflow is away); the releases that it asks for have to wait"
    )
    assert works.startswith("looking at what the registry asks for works again")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Lines of the periodic task in the log."""
    return [record.message for record in caplog.records if record.name == "app.periodic"]


async def test_a_question_without_an_answer_is_given_up_and_not_piled_up(stage: Stage, watch: RegistryPoller) -> None:
    stage.held_up, stage.requested = threading.Event(), [ASKED]
    watch.start()
    await eventually(lambda: stage.looks == 1)
    await asyncio.sleep(0.3)  # three deadlines
    assert stage.looks == 1
    held, stage.held_up = stage.held_up, None
    held.set()
    await eventually(lambda: bool(stage.begun))  # by a new question: the old answer is of long ago
    assert stage.looks == 2


async def test_a_controller_without_the_lease_does_not_look_at_the_registry(
    stage: Stage, watch: RegistryPoller
) -> None:
    stage.token, stage.requested = None, [ASKED]
    watch.start()
    await asyncio.sleep(0.1)
    assert stage.looks == 0
    stage.token = 8
    await eventually(lambda: bool(stage.begun))
    assert stage.begun[0][-1] == 8


async def test_a_hint_makes_a_look_before_its_time(stage: Stage) -> None:
    watch = RegistryPoller(3600, stage, stage, stage, stage)
    watch.start()
    await eventually(lambda: stage.looks == 1)
    stage.requested = [ASKED]
    watch.hint()
    await eventually(lambda: bool(stage.begun))
    await watch.stop()


async def test_an_interval_of_0_looks_at_nothing(stage: Stage) -> None:
    watch = RegistryPoller(0, stage, stage, stage, stage)
    watch.start()
    watch.hint()
    await asyncio.sleep(0.05)
    assert (watch.is_on, stage.looks) == (False, 0)
    await watch.stop()
