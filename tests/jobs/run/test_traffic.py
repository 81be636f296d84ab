"""The replayed traffic: no instant begins while a request of an earlier one is under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from app.features import FeatureStoreError
from jobs.run.tally import Tally
from jobs.run.traffic import Replay, ReplayRequest

INSTANTS = [10, 10, 10, 20, 30, 30]


class Gateway:
    """Answers after a moment, and writes down what happens in which order."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[tuple[str, int]] = []

    async def answer(self, request: web.Request) -> web.Response:
        instant = int(await request.text())
        self.seen.append(("asked", instant))
        await asyncio.sleep(0.02)  # as long as an answer takes
        self.seen.append(("answered", instant))
        reply = {"model_version": "2", "id": str(instant), "outputs": [{"name": "score", "data": [0.5]}]}
        return web.json_response(reply, headers={"x-feature-status": "weather=stale"})

    async def advance(self, instant: int) -> None:
        self.seen.append(("advanced", instant))


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    found = Gateway()
    app = web.Application()
    app.router.add_post("/infer", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/infer"
    yield found
    await runner.cleanup()


def requests() -> list[ReplayRequest]:
    return [
        ReplayRequest(str(instant).encode(), f"k{place}", place % 2, instant, known=instant + 60)
        for place, instant in enumerate(INSTANTS)
    ]


async def test_next_instant_waits_for_the_answers_of_the_last(gateway: Gateway) -> None:
    tally = Tally()
    tally.begin({"2": 1.0}, 0.0)
    labelled: list[tuple[str, int]] = []

    def answered(request_id: str, request: ReplayRequest) -> None:
        labelled.append((request_id, request.known))

    replay = Replay(gateway.url, "score", iter(requests()), 1000, tally, gateway.advance, answered, views=3)
    async with asyncio.timeout(10):
        await replay.run()
    for instant in (10, 20, 30):
        what = [(event, at) for event, at in gateway.seen if at == instant]
        assert what[0] == ("advanced", instant)
        first, last = gateway.seen.index(what[0]), len(gateway.seen) - 1 - gateway.seen[::-1].index(what[-1])
        assert gateway.seen[first : last + 1] == what, "another instant's request in between"
    assert [event for event, at in gateway.seen if at == 10][1:4] == ["asked"] * 3, "one instant is an open loop"
    assert sorted(labelled) == sorted((str(instant), instant + 60) for instant in INSTANTS)
    found = tally.versions["2"]
    assert found.requests == len(INSTANTS)
    assert (found.features["fresh"], found.features["stale"]) == (2 * len(INSTANTS), len(INSTANTS))


async def test_feature_store_that_does_not_answer_ends_the_traffic(gateway: Gateway) -> None:
    async def away(instant: int) -> None:
        if instant == 20:
            raise FeatureStoreError("Redis is away")

    tally = Tally()
    tally.begin({"2": 1.0}, 0.0)
    replay = Replay(gateway.url, "score", iter(requests()), 1000, tally, away, lambda *_: None, views=3)
    with pytest.raises(FeatureStoreError):
        async with asyncio.timeout(10):
            await replay.run()
    assert tally.requests == 3
