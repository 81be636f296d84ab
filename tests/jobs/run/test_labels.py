"""Labels are posted once their flight has landed by the replay's clock, and none is lost in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from jobs.run import labels
from jobs.run.labels import LabelFeed


class Feedback:
    """Takes labels, or answers with the statuses that it was given."""

    def __init__(self) -> None:
        self.url = ""
        self.statuses: list[int] = []
        self.taken: list[tuple[str, int]] = []

    async def take(self, request: web.Request) -> web.Response:
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        for label in await request.json():
            assert label["model"] == "flights"
            self.taken.append((label["request_id"], label["label"]))
        return web.Response(status=202)


@pytest.fixture
async def feedback() -> AsyncIterator[Feedback]:
    found = Feedback()
    app = web.Application()
    app.router.add_post("/feedback", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/feedback"
    yield found
    await runner.cleanup()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "EVERY_S", 0.01)
    monkeypatch.setattr(labels, "RETRY_S", 0.01)


async def until(held: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not held():
            await asyncio.sleep(0.01)


async def test_label_is_posted_once_the_flight_has_landed(feedback: Feedback) -> None:
    feed = LabelFeed(feedback.url, "flights")
    running = asyncio.create_task(feed.run())
    for request_id, known in (("late", 300), ("first", 100), ("second", 200)):
        feed.answered(request_id, known, int(request_id == "late"))
    feed.advance(99)
    feed.advance(200)
    await until(lambda: feed.counts.posted == 2)
    assert feedback.taken == [("first", 0), ("second", 0)]
    assert feed.counts.waiting == 1
    feed.advance(1000)
    await until(lambda: feed.counts.posted == 3)
    assert feedback.taken[2:] == [("late", 1)]
    assert feed.counts.waiting == 0
    running.cancel()


async def test_post_is_repeated_until_the_gateway_takes_it(feedback: Feedback) -> None:
    feedback.statuses = [503, 404]
    feed = LabelFeed(feedback.url, "flights")
    running = asyncio.create_task(feed.run())
    feed.answered("a", 100, 1)
    feed.advance(100)
    await until(lambda: feed.counts.posted == 1)
    assert feed.counts.retried == 2
    assert feedback.taken == [("a", 1)]
    running.cancel()


async def test_refused_and_dropped_labels_are_counted(feedback: Feedback) -> None:
    feedback.statuses = [400]
    feed = LabelFeed(feedback.url, "flights", max_waiting=1)
    running = asyncio.create_task(feed.run())
    feed.answered("a", 100, 1)
    feed.answered("b", 100, 1)
    assert feed.counts.dropped == 1
    feed.advance(100)
    await until(lambda: feed.counts.refused == 1)
    assert feed.counts.waiting == 0
    assert feedback.taken == []
    running.cancel()
