"""Work that the controller does in the background: one task of a name at a time, tried again after a pause."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
"""Pause before a task that failed is tried again, doubling; seconds."""


@dataclass(frozen=True, slots=True)
class _Failure:
    pause_s: float
    until: float
    error: str


class BackgroundTasks:
    """Runs tasks by name, on one event loop.

    Args:
        done: called after each, however it ended.
    """

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, _Failure] = {}

    def names(self) -> list[str]:
        """Names of the tasks under way."""
        return list(self._tasks)

    def error(self, name: str) -> str | None:
        """The last error of a task that has not succeeded since; None where there is none."""
        failure = self._failures.get(name)
        return None if failure is None else failure.error

    def forget(self, name: str) -> None:
        """Forgets that a task failed: the next one of that name begins without a pause."""
        self._failures.pop(name, None)

    def run(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Begins a task, unless one of that name is under way or has just failed."""
        failure = self._failures.get(name)
        if name in self._tasks or (failure is not None and time.monotonic() < failure.until):
            return
        pause_s = 0.0 if failure is None else failure.pause_s
        self._tasks[name] = asyncio.create_task(self._try(name, work, pause_s))

    def cancel(self) -> None:
        """Cancels the tasks under way; what runs in a thread goes on to its end there."""
        for task in list(self._tasks.values()):
            task.cancel()

    async def stop(self) -> None:
        """Cancels the tasks under way, and waits for them."""
        self.cancel()
        for task in list(self._tasks.values()):
            with suppress(asyncio.CancelledError):
                await task

    async def _try(self, name: str, work: Callable[[], Awaitable[object]], pause_s: float) -> None:
        try:
            await work()
        except Exception as error:
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S) or FIRST_PAUSE_S
            sentence = str(error) or type(error).__name__
            self._failures[name] = _Failure(pause_s, time.monotonic() + pause_s, sentence)
            log.warning("%s: %s; again in %.1f s", name, sentence, pause_s)
        else:
            self._failures.pop(name, None)
        finally:
            del self._tasks[name]
            self._done()
