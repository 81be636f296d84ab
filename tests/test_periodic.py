from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack

import pytest

from app.periodic import Periodic


class Runs:
    """Counts runs and lets a test await the n-th; fails as many first ones as told."""

    def __init__(self, failing: int = 0, error: Exception | None = None) -> None:
        self.count = 0
        self._failing, self._error = failing, error or ValueError("no")
        self._changed = asyncio.Condition()

    async def __call__(self) -> None:
        async with self._changed:
            self.count += 1
            self._changed.notify_all()
        if self.count <= self._failing:
            raise self._error

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: self.count >= count)


async def test_first_run_begins_at_once_and_repeats() -> None:
    runs = Runs()
    async with Periodic("work", runs, 0.001):
        await runs.reach(3)


async def test_wake_ends_the_pause_early() -> None:
    runs = Runs()
    async with Periodic("work", runs, 3600) as work:
        await runs.reach(1)
        work.wake()
        await runs.reach(2)


async def test_without_interval_runs_only_when_woken() -> None:
    runs = Runs()
    async with Periodic("work", runs, None) as work:
        await runs.reach(1)
        work.wake()
        await runs.reach(2)
        assert runs.count == 2


async def test_wake_during_a_run_is_not_lost() -> None:
    runs, go_on = Runs(), asyncio.Event()

    async def run() -> None:
        await runs()
        await go_on.wait()

    async with Periodic("work", run, 3600) as work:
        await runs.reach(1)
        work.wake()
        go_on.set()
        await runs.reach(2)


async def test_interval_may_be_computed_before_each_pause() -> None:
    runs = Runs()
    pauses = iter([0.0, 0.001, 0.0])
    async with Periodic("work", runs, lambda: next(pauses, 3600)):
        await runs.reach(4)


async def test_failing_run_is_counted_and_does_not_end_the_task(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs(failing=2)
    async with Periodic("reading tables", runs, 0.001) as work:
        await runs.reach(3)
    assert work.failures == 2
    failed = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in failed] == ["reading tables failed"] * 2
    assert all(record.exc_info for record in failed)


async def test_expected_failures_are_logged_once_and_their_end_too(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs(failing=3, error=ConnectionError("refused"))
    work = Periodic("reading tables", runs, 0.001, expected=(OSError,), consequence="the last ones stay in force")
    async with work:
        await runs.reach(5)
    assert [record.getMessage() for record in caplog.records] == [
        "reading tables failed (refused); the last ones stay in force",
        "reading tables works again after 3 failed tries",
    ]
    assert work.failures == 3
    assert not work.failing


async def test_pause_after_failures_doubles_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float | None] = []
    real = asyncio.timeout

    def timeout(delay: float | None) -> asyncio.Timeout:
        pauses.append(delay)
        return real(0)

    runs = Runs(failing=4)
    work = Periodic("work", runs, 7.0, retry_s=(0.1, 0.3))
    with monkeypatch.context() as patched:
        patched.setattr("app.periodic.asyncio.timeout", timeout)
        work.start()
        while len(pauses) < 5:
            await asyncio.sleep(0)
    await work.stop()
    assert pauses[:5] == pytest.approx([0.1, 0.2, 0.3, 0.3, 7.0])


async def test_run_whose_awaited_task_was_cancelled_elsewhere_does_not_end_the_task() -> None:
    runs = Runs()

    async def run() -> None:
        await runs()
        if runs.count == 1:
            other = asyncio.ensure_future(asyncio.sleep(3600))
            other.cancel()
            await other

    async with Periodic("work", run, 0.001) as work:
        await runs.reach(2)
    assert work.failures == 1


async def test_swallowed_cancellation_does_not_hang_the_stop() -> None:
    begun = asyncio.Event()

    async def swallow() -> None:
        try:
            begun.set()
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return  # as asyncio.wait_for does before Python 3.12 when the reply arrives at the same moment

    work = Periodic("work", swallow, 0.0)
    work.start()
    await begun.wait()
    async with asyncio.timeout(1):
        await work.stop()


async def test_run_that_swallows_one_cancellation_and_waits_on_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.periodic.CANCEL_AGAIN_S", 0.01)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def swallow_one() -> None:
        try:
            begun.set()
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()

    async with asyncio.timeout(2), Periodic("work", swallow_one, 0.0):
        await begun.wait()
    assert ended.is_set()


async def test_stop_gives_up_at_its_deadline_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.periodic.CANCEL_AGAIN_S", 0.01)
    begun, release = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    work = Periodic("stubborn work", stubborn, 0.0, stop_timeout_s=0.05)
    work.start()
    await begun.wait()
    started = time.monotonic()
    await work.stop()
    assert time.monotonic() - started < 1
    assert "stubborn work did not end within 0.05 s and is left behind" in caplog.text
    release.set()


async def test_stop_lets_a_run_end_by_itself_within_its_grace() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()
    work: Periodic

    async def run() -> None:
        begun.set()
        while not work.stopping:
            await asyncio.sleep(0)
        ended.set()

    work = Periodic("work", run, 0.0)
    work.start()
    await begun.wait()
    await work.stop(grace_s=2)
    assert ended.is_set()


async def test_cancelling_the_stop_itself_is_not_swallowed() -> None:
    begun = asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)

    work = Periodic("work", stubborn, 0.0)
    work.start()
    await begun.wait()
    stopping = asyncio.create_task(work.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await work.stop()


async def test_exit_stack_stops_in_reverse_order_although_one_stop_fails() -> None:
    ended: list[str] = []

    def ending(name: str) -> Periodic:
        async def run() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(name)

        return Periodic(name, run, 0.0)

    async def fail() -> None:
        raise OSError("stop failed")

    async def use_all() -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(ending("first"))
            stack.push_async_callback(fail)
            await stack.enter_async_context(ending("second"))
            await asyncio.sleep(0)

    with pytest.raises(OSError, match="stop failed"):
        await use_all()
    assert ended == ["second", "first"]


async def test_stop_before_start_and_twice_changes_nothing() -> None:
    runs = Runs()
    work = Periodic("work", runs, 0.001)
    await work.stop()
    assert runs.count == 0
    other = Periodic("work", runs, 0.001)
    other.start()
    await runs.reach(1)
    await other.stop()
    await other.stop()
