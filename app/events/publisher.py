"""Takes records off the request's path: a bounded buffer, and a task that sends what is in it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic

from app.events.event_log import EventLog, EventLogError, R
from app.settings import EventSettings

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
"""Between sends while the log is away, doubling; seconds."""


@dataclass(frozen=True, slots=True)
class PublisherStats:
    """Counts since the start. offered = published + dropped + waiting.

    Attributes:
        offered: records offered.
        published: records that the log has taken.
        dropped_full: the oldest ones, pushed out of a full buffer.
        dropped_refused: those that the log will never take.
        dropped_stopped: those that were left, or came, when the publisher stopped.
        failed_sends: batches without an answer; each was sent again.
        waiting: records in the buffer and on their way.
    """

    offered: int
    published: int
    dropped_full: int
    dropped_refused: int
    dropped_stopped: int
    failed_sends: int
    waiting: int

    @property
    def dropped(self) -> int:
        """Records that are lost."""
        return self.dropped_full + self.dropped_refused + self.dropped_stopped


class Publisher(Generic[R]):
    """One replica's way to the event log. All methods belong to one event loop.

    While the log is away the newest records are kept, up to ``settings.buffer`` and the batch on its way.
    """

    def __init__(self, event_log: EventLog[R], settings: EventSettings) -> None:
        self._log = event_log
        self._batch_size = settings.batch
        self._flush_s = settings.flush_s
        self._bound = settings.buffer
        self._buffer: deque[R] = deque(maxlen=settings.buffer)
        self._sending: list[R] = []
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._offered = self._published = self._full = self._refused = self._stopped = self._failed = 0

    def start(self) -> None:
        """Begin to send, on the running loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self, timeout_s: float) -> None:
        """Send what is held, for as long as ``timeout_s``; the rest is dropped and counted."""
        self._stopping.set()
        self._some.set()
        self._enough.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_s)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._stopped += len(self._buffer) + len(self._sending)
        self._buffer.clear()
        self._sending = []

    def offer(self, record: R) -> None:
        """Take a record; never waits and never raises."""
        self._offered += 1
        if self._stopping.is_set():
            self._stopped += 1
            return
        waiting = len(self._buffer)
        if waiting == self._bound:
            self._full += 1  # append pushes the oldest out
        elif not waiting:
            self._some.set()
        self._buffer.append(record)
        if waiting + 1 == self._batch_size:
            self._enough.set()

    def room(self) -> int:
        """How many records can be offered before one is pushed out."""
        return 0 if self._stopping.is_set() else self._bound - len(self._buffer)

    def stats(self) -> PublisherStats:
        """Counts since the start."""
        return PublisherStats(
            offered=self._offered,
            published=self._published,
            dropped_full=self._full,
            dropped_refused=self._refused,
            dropped_stopped=self._stopped,
            failed_sends=self._failed,
            waiting=len(self._buffer) + len(self._sending),
        )

    async def _run(self) -> None:
        while self._buffer or not self._stopping.is_set():
            await self._some.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), self._flush_s)
            while len(self._buffer) >= self._batch_size:
                await self._send()
            if self._buffer:  # what comes while this is sent waits for others again: a command each would be dear
                await self._send()
            if self._stopping.is_set():
                continue
            if len(self._buffer) < self._batch_size:
                self._enough.clear()
            if not self._buffer:
                self._some.clear()

    async def _send(self) -> None:
        """Send one batch, until the log has taken it."""
        self._sending = [self._buffer.popleft() for _ in range(min(self._batch_size, len(self._buffer)))]
        pause = FIRST_PAUSE_S
        while True:
            try:
                refused = await self._log.publish(self._sending)
                break
            except EventLogError as error:
                self._failed += 1
                if pause == FIRST_PAUSE_S:
                    log.warning("%s; the newest %d records are kept", error, self._bound)
                await self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
        if pause != FIRST_PAUSE_S:
            log.warning("the event log takes records again; %d were lost in all", self.stats().dropped)
        if refused:
            log.error("the event log refused %d records for good", refused)
        self._refused += refused
        self._published += len(self._sending) - refused
        self._sending = []

    async def _pause(self, seconds: float) -> None:
        """Wait; a stop ends a long wait, and makes the later ones short."""
        if self._stopping.is_set():
            await asyncio.sleep(FIRST_PAUSE_S)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
