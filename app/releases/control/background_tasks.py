"""Work that a controller has others do meanwhile: one task of a name at a time, tried again after a pause."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
"""Before a task that failed is tried again, doubling; seconds."""


class BackgroundTasks:
    """Runs tasks by name, on one event loop.

    Args:
        done: called after each, whatever became of it.
    """

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._pauses: dict[str, tuple[float, float]] = {}

    def names(self) -> list[str]:
        """BackgroundTasks under way."""
        return list(self._tasks)

    def run(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Begin a task, unless one of that name is under way or has just failed."""
        pause, until = self._pauses.get(name, (0.0, 0.0))
        if name in self._tasks or time.monotonic() < until:
            return
        task = asyncio.create_task(self._try(name, work, pause))
        self._tasks[name] = task

    def cancel(self) -> None:
        """Cancel what is under way; what runs in a thread goes on to its end there."""
        for task in list(self._tasks.values()):
            task.cancel()

    async def stop(self) -> None:
        """Cancel what is under way, and wait for it."""
        self.cancel()
        for task in list(self._tasks.values()):
            with suppress(asyncio.CancelledError):
                await task

    async def _try(self, name: str, work: Callable[[], Awaitable[object]], pause: float) -> None:
        try:
            await work()
        except Exception as error:
            pause = min(2 * pause, LONGEST_PAUSE_S) or FIRST_PAUSE_S
            self._pauses[name] = pause, time.monotonic() + pause
            log.warning("%s: %s; again in %.1f s", name, error or type(error).__name__, pause)
        else:
            self._pauses.pop(name, None)
        finally:
            del self._tasks[name]
            self._done()
