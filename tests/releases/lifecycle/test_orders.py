"""Orders: given twice they do what they do given once, and a new one is known everywhere by its one declaration."""

from __future__ import annotations

import asyncio
import importlib
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Annotated, cast, get_args

import httpx
import pytest
from fastapi import FastAPI
from pydantic import Field, SecretStr

from app.errors import InvalidArgumentError
from app.releases.api import routes
from app.releases.api.ingress import ControllerReplica, build_api
from app.releases.lifecycle.orders import ORDERS, Order, OrderRefusedError, parse_order
from app.releases.lifecycle.phases import with_history
from app.releases.model.release import Phase, Release
from app.settings import GatewaySettings
from app.web.keys import Authenticator, Scope, mint
from jobs.cli import main
from jobs.release.client import Releases
from tests.releases.documents import release

TEXT, KEY = mint("ci", [Scope.RELEASE], 0)


@pytest.mark.parametrize("phase", get_args(Phase))
@pytest.mark.parametrize("verb", ORDERS)
def test_an_order_that_is_repeated_changes_nothing_more(verb: str, phase: Phase) -> None:
    order = parse_order(verb, {"step": 0} if verb == "promote" else {})
    held = release(phase=phase)
    try:
        once = order.apply(held, "key", 5.0)
    except OrderRefusedError:
        return
    with suppress(OrderRefusedError):
        assert order.apply(once, "key", 6.0) == once


@dataclass(frozen=True, slots=True)
class SettleUntil(Order):
    """Keeps the old champion until an instant."""

    verb = "settle"
    meaning = "keep the old champion until an instant"

    until: Annotated[datetime | None, Field(description="Instant until which the way back is instant, ISO 8601")] = (
        None
    )

    def apply(self, release: Release, who: str, now: float) -> Release:
        if release.phase != "settling" or self.until is None:
            raise OrderRefusedError(f"release {release.id} is in the phase {release.phase}; settle needs settling")
        delay = self.until.timestamp() - release.since
        if release.plan.scale_down_delay == delay:
            return release
        plan = release.plan.model_copy(update={"scale_down_delay": delay})
        return with_history(release.model_copy(update={"plan": plan}), now, who, f"settles until {self.until}")


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ORDERS, SettleUntil.verb, SettleUntil)
    # The commands of the orders are made when their module is imported: it is imported anew, and put back afterwards.
    importlib.import_module("jobs.cli.release")
    monkeypatch.delitem(sys.modules, "jobs.cli.release")
    monkeypatch.delattr("jobs.cli.release")


class Held:
    """A controller and its store with one release, that applies orders as the real one does."""

    def __init__(self) -> None:
        self.release = release(phase="settling", since=1_000.0)

    async def order(self, release: str, order: Order, who: str) -> Release:
        self.release = order.apply(self.release, who, 2_000.0)
        return self.release


class InProcess(httpx.BaseTransport):
    """A transport that calls the application in this process."""

    def __init__(self, api: FastAPI) -> None:
        self._asgi = httpx.ASGITransport(api)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self._asgi.handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())


@dataclass(frozen=True, slots=True)
class SkipTo(Order):
    """Goes on with a step; shares the name of an option with ``promote``, and has one that must be given."""

    verb = "skip"
    meaning = "go on with a step"

    reason: Annotated[str, Field(description="Why")]
    step: Annotated[int | None, Field(description="The step, from 0")] = None

    def apply(self, release: Release, who: str, now: float) -> Release:
        return release


def test_option_that_must_be_given_does_not_break_another_orders_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ORDERS, SkipTo.verb, SkipTo)
    with pytest.raises(InvalidArgumentError, match="step=1 with pause: accepted with promote, skip"):
        parse_order("pause", {"step": 1})


def test_option_that_two_orders_share_is_one_parameter_of_the_openapi_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ORDERS, SkipTo.verb, SkipTo)
    described = {each["name"]: each["description"] for each in routes._order_options()}
    assert [each["name"] for each in routes._order_options()].count("step") == 1
    assert "Of promote: " in described["step"]
    assert "Of skip: The step, from 0" in described["step"]


@pytest.mark.usefixtures("settle")
def test_an_order_of_ones_own_reaches_the_release_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = Held()
    authenticator = Authenticator({KEY.id: KEY}, lambda: True, None)
    parts = SimpleNamespace(
        store=held, controller=held, feed=None, authenticator=authenticator, registry=None, webhook_secret=None
    )
    api = build_api(cast(ControllerReplica, parts))
    document = api.openapi()["paths"]["/releases/{release}/{verb}"]["post"]["parameters"]
    assert "settle" in next(each for each in document if each["name"] == "verb")["schema"]["enum"]
    assert [each["description"] for each in document if each["name"] == "until"] == [
        "Of settle: Instant until which the way back is instant, ISO 8601"
    ]
    monkeypatch.setattr(
        "jobs.cli.release.Releases",
        lambda _: Releases(GatewaySettings(admin_key=SecretStr(TEXT)), InProcess(api)),
    )
    until = datetime.fromtimestamp(5_000, UTC)
    for _ in range(2):
        assert main(["release", "settle", "r1", "--until", until.isoformat()]) == 0
    assert held.release.plan.scale_down_delay == 4_000
    assert [entry.what for entry in held.release.history] == [f"settles until {until}"]
    assert main(["release", "pause", "r1"]) == 0
    assert held.release.paused
