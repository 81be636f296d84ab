from __future__ import annotations

import asyncio

import pytest

from app.releases.control import background_tasks as module
from app.releases.control.background_tasks import BackgroundTasks


async def test_one_task_of_a_name_runs_at_a_time_and_done_is_called() -> None:
    woken = asyncio.Event()
    tasks = BackgroundTasks(woken.set)
    gate, begun = asyncio.Event(), []

    async def work() -> None:
        begun.append(1)
        await gate.wait()

    tasks.run("a", work)
    tasks.run("a", work)
    tasks.run("b", work)
    await asyncio.sleep(0)
    assert (len(begun), sorted(tasks.names())) == (2, ["a", "b"])
    gate.set()
    async with asyncio.timeout(5):
        await woken.wait()
        while tasks.names():
            await asyncio.sleep(0)


async def test_a_failed_task_is_tried_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.05)
    tried: list[float] = []
    loop = asyncio.get_running_loop()

    async def work() -> None:
        tried.append(loop.time())
        if len(tried) < 3:
            raise ConnectionError("away")

    tasks = BackgroundTasks(lambda: None)
    async with asyncio.timeout(5):
        while len(tried) < 3:
            tasks.run("a", work)
            await asyncio.sleep(0.001)
    assert tried[1] - tried[0] >= 0.05
    assert tried[2] - tried[1] >= 0.1


async def test_stop_cancels_tasks_under_way() -> None:
    tasks = BackgroundTasks(lambda: None)
    tasks.run("a", asyncio.Event().wait)
    await asyncio.sleep(0)
    await tasks.stop()
    assert tasks.names() == []


async def test_what_was_cancelled_may_be_begun_again() -> None:
    tasks = BackgroundTasks(lambda: None)
    tasks.run("a", asyncio.Event().wait)
    await asyncio.sleep(0)
    tasks.cancel()
    async with asyncio.timeout(5):
        while tasks.names():
            await asyncio.sleep(0)
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    tasks.run("a", work)
    async with asyncio.timeout(5):
        await done.wait()
