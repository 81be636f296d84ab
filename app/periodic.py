"""Work that a process repeats in the background: every N seconds, or sooner when it is woken.

Every such loop of the application is a :class:`Periodic`, so that all of them log failures, go on and stop alike.
``contextlib.AsyncExitStack`` stops several in the reverse order of their start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 5.0
CANCEL_AGAIN_S = 1.0
"""Interval at which a task that is to end is cancelled again, seconds."""


class Periodic:
    """A named task that awaits ``run()``, pauses, and repeats until it is stopped. It belongs to one event loop.

    A run that raises is counted and logged and does not end the task. The pause ends early on :meth:`wake`; a wake
    during a run makes the next one follow at once. Runs never overlap.

    Stopping rests on a flag beside the cancellation: redis-py's asyncio client waits by ``asyncio.wait_for``, which
    before Python 3.12 can swallow a cancellation that arrives together with the reply. A run with a loop of its own
    therefore ends it when :attr:`stopping` is true.

    Args:
        name: the work in words that follow "failed" and "works again" in the log: "reading route tables".
        run: one run; the first begins at once.
        every_s: seconds between the end of a run and the next, or a function that returns them; None for runs that
            only :meth:`wake` causes.
        expected: errors of a service that is away. The first of a row is logged in one line, the others are not, and
            the run that succeeds after them is; any other error is logged with its traceback, each time.
        consequence: what an expected failure means for the user, for its line in the log.
        retry_s: first and longest pause after a failed run, doubling, seconds; None for ``every_s``.
        stop_timeout_s: longest that :meth:`stop` waits for a cancelled run, seconds.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], Awaitable[object]],
        every_s: float | Callable[[], float] | None,
        *,
        expected: tuple[type[Exception], ...] = (),
        consequence: str = "",
        retry_s: tuple[float, float] | None = None,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self.name = name
        self.failures = 0
        """Runs that raised, since the start."""
        self._run_once = run
        self._every_s = every_s
        self._expected = expected
        self._consequence = f"; {consequence}" if consequence else ""
        self._retry_s = retry_s
        self._stop_timeout_s = stop_timeout_s
        self._failed_in_a_row = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """True from :meth:`start` until a stop is requested."""
        return self._task is not None and not self._stopping

    @property
    def stopping(self) -> bool:
        """True from the moment that a stop was requested."""
        return self._stopping

    @property
    def failing(self) -> bool:
        """True while the last run failed."""
        return self._failed_in_a_row > 0

    def start(self) -> None:
        """Begins on the running loop."""
        assert self._task is None, f"{self.name} runs already"
        self._task = asyncio.create_task(self.run(), name=self.name)

    def wake(self) -> None:
        """Ends the pause. Never waits; any number of calls before the next run cause one run."""
        self._wake.set()

    def succeeded(self) -> None:
        """Ends a row of failures; called by a run that lasts, once it does its work."""
        if self._failed_in_a_row:
            log.warning("%s works again after %d failed tries", self.name, self._failed_in_a_row)
        self._failed_in_a_row = 0

    def request_stop(self) -> None:
        """Lets the task end after the run under way, without waiting for it."""
        self._stopping = True
        self._wake.set()

    async def stop(self, grace_s: float = 0.0) -> None:
        """Ends the task; one that does not end is left behind and logged. A second call changes nothing.

        Args:
            grace_s: seconds that the run under way has to end by itself before it is cancelled.
        """
        self.request_stop()
        task = self._task
        if task is None:
            return
        if grace_s > 0:
            await asyncio.wait({task}, timeout=grace_s)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._stop_timeout_s
        while not task.done() and (left := deadline - loop.time()) > 0:
            task.cancel()
            await asyncio.wait({task}, timeout=min(left, CANCEL_AGAIN_S))
        if not task.done():
            log.error("%s did not end within %g s and is left behind", self.name, self._stop_timeout_s)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def run(self) -> None:
        """Repeats until a stop; for a caller that has a task of its own. Raises ``CancelledError`` alone."""
        task = asyncio.current_task()
        assert task is not None
        while not self._stopping and not task.cancelling():
            self._wake.clear()
            try:
                await self._run_once()
            except asyncio.CancelledError as error:
                if self._stopping or task.cancelling():
                    raise
                self._note_failure(error)  # something that the run awaited was cancelled by its own owner
            except Exception as error:
                self._note_failure(error)
            else:
                self.succeeded()
            await self._pause()

    async def _pause(self) -> None:
        if self._stopping:
            return
        pause_s = self._pause_s()
        if pause_s is None:
            await self._wake.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._wake.wait()

    def _pause_s(self) -> float | None:
        if self._failed_in_a_row and self._retry_s is not None:
            first, longest = self._retry_s
            return min(first * 2.0 ** min(self._failed_in_a_row - 1, 32), longest)
        return self._every_s() if callable(self._every_s) else self._every_s

    def _note_failure(self, error: BaseException) -> None:
        self.failures += 1
        self._failed_in_a_row += 1
        if not isinstance(error, self._expected):
            log.error("%s failed%s", self.name, self._consequence, exc_info=error)
        elif self._failed_in_a_row == 1 and not self._stopping:
            log.warning("%s failed (%s)%s", self.name, str(error) or type(error).__name__, self._consequence)
