"""Releases as the demo begins and follows them: plans, states, an earlier run's release."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.settings import GatewaySettings
from jobs.release.client import ReleaseError, Releases
from jobs.run.releasing import end_earlier, plan, states
from tests.jobs.run.states import state

SETTINGS = GatewaySettings(admin_key=SecretStr("key"))


class Gateway:
    """Answers as the gateway does, with one release."""

    def __init__(self, present: dict[str, Any], stream: list[dict[str, Any]], refuses: bool = False) -> None:
        self.present, self.stream, self.refuses = present, stream, refuses
        self.ordered: list[str] = []

    def client(self) -> Releases:
        return Releases(SETTINGS, httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        verb = request.url.path.rpartition("/")[2]
        if verb == "events":
            events = [f"id: {number}\ndata: {json.dumps(found)}\n\n" for number, found in enumerate(self.stream)]
            return httpx.Response(200, text="".join(events), headers={"content-type": "text/event-stream"})
        if request.method == "POST":
            self.ordered.append(verb)
            return httpx.Response(409, json={"error": "too late"}) if self.refuses else httpx.Response(200, json={})
        return httpx.Response(200, json=[self.present] if self.present else [])


def test_share_seconds_apply_to_steps_by_time() -> None:
    written, asked = plan("canary"), plan("canary", 3.5)
    assert [step.get("min_duration") for step in asked["steps"]] == [3.5, 3.5, None]
    assert [step["weight"] for step in asked["steps"]] == [step["weight"] for step in written["steps"]]
    assert plan("first", 3.5) == plan("first")


async def test_states_arrive_in_order() -> None:
    many = [state("step", 5, 0.1, waiting_for=str(number)) for number in range(200)]
    gateway = Gateway({}, [*many, state("promoted", 9, 1.0)])
    with gateway.client() as releases:
        async with asyncio.timeout(20):
            seen = [found async for found in states(releases, "flights-1", lambda why: None)]
    assert [found["waiting_for"] for found in seen] == [*map(str, range(200)), ""]


async def test_closed_iteration_leaves_no_thread_behind() -> None:
    gateway = Gateway({}, [state("step", 5, 0.1)] * (200))
    with gateway.client() as releases:
        following = states(releases, "flights-2", lambda why: None)
        await anext(following)
        await following.aclose()
        async with asyncio.timeout(20):
            while any(thread.name == "states of flights-2" for thread in threading.enumerate()):
                await asyncio.sleep(0.01)


async def test_error_of_the_thread_is_raised_by_the_iteration() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json={"error": "there is no release 'flights-3'"})

    refused = pytest.raises(ReleaseError, match="there is no release 'flights-3'")
    with Releases(SETTINGS, httpx.MockTransport(gone)) as releases, refused:
        async for _ in states(releases, "flights-3", lambda why: None):
            pass


@pytest.mark.parametrize(
    ("refuses", "said"),
    [
        (False, "release flights-1 of an earlier run is cancelled"),
        (True, "release flights-1 of an earlier run is awaited: POST /releases/flights-1/cancel: 409 too late"),
    ],
)
async def test_live_release_of_an_earlier_run_is_cancelled(refuses: bool, said: str) -> None:
    gateway = Gateway(state("step", 5, 0.1), [state("removing", 7), state("cancelled", 9)], refuses)
    heard: list[str] = []
    with gateway.client() as releases:
        async with asyncio.timeout(20):
            assert await end_earlier(releases, "flights", heard.append) == "flights-1"
    assert gateway.ordered == ["cancel"]
    assert heard == [said]


@pytest.mark.parametrize("present", [{}, state("promoted", 5, 1.0)])
async def test_ended_release_is_left_alone(present: dict[str, Any]) -> None:
    gateway = Gateway(present, [])
    with gateway.client() as releases:
        assert await end_earlier(releases, "flights", print) is None
    assert gateway.ordered == []
