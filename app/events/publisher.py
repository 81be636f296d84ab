"""Takes records off the request's path: a bounded buffer, and a task that sends what is in it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic

from app.events.event_log import EventLogError, EventWriter, R
from app.periodic import Periodic
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
    """The way of one process's records to the event log. All methods belong to one event loop.

    While the log is away the newest records are kept, up to ``settings.buffer`` and the batch on its way.
    """

    def __init__(self, event_log: EventWriter[R], settings: EventSettings) -> None:
        self._log = event_log
        self._batch_size = settings.batch
        self._flush_s = settings.flush_s
        self._bound = settings.buffer
        self._buffer: deque[R] = deque(maxlen=settings.buffer)
        self._sending: list[R] = []
        self._enough = asyncio.Event()
        self._sends = Periodic(
            "publishing events",
            self._flush,
            None,
            expected=(EventLogError,),
            consequence=f"the newest {settings.buffer} records are kept",
            retry_s=(FIRST_PAUSE_S, LONGEST_PAUSE_S),
        )
        self._offered = self._published = self._full = self._refused = self._stopped = self._failed = 0

    def start(self) -> None:
        """Begins to send, on the running loop."""
        self._sends.start()

    async def stop(self, timeout_s: float) -> None:
        """Sends what is held, for at most ``timeout_s`` seconds; the rest is dropped and counted."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        was_running = self._sends.running
        self._sends.request_stop()
        self._enough.set()
        if was_running:
            await self._sends.stop(timeout_s)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    while (self._sending or self._buffer) and loop.time() < deadline:
                        await self._try_to_send()
        self._stopped += len(self._buffer) + len(self._sending)
        self._buffer.clear()
        self._sending = []

    def offer(self, record: R) -> None:
        """Takes a record; never waits and never raises."""
        self._offered += 1
        if self._sends.stopping:
            self._stopped += 1
            return
        waiting = len(self._buffer)
        if waiting == self._bound:
            self._full += 1  # append pushes the oldest out
        elif not waiting:
            self._sends.wake()
        self._buffer.append(record)
        if waiting + 1 == self._batch_size:
            self._enough.set()

    def room(self) -> int:
        """The number of records that can be offered before one is pushed out."""
        return 0 if self._sends.stopping else self._bound - len(self._buffer)

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

    async def _flush(self) -> None:
        """Sends what is in the buffer, after it has waited for others.

        Raises:
            EventLogError: the log is away; what was not sent stays held.
        """
        if self._sending:
            await self._send()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._flush_s):
                await self._enough.wait()
        while len(self._buffer) >= self._batch_size:
            await self._send()
        if self._buffer:  # what comes while this is sent waits for others again: a command each would be dear
            await self._send()
        if len(self._buffer) < self._batch_size and not self._sends.stopping:
            self._enough.clear()
        if self._buffer:
            self._sends.wake()

    async def _send(self) -> None:
        """Sends one batch: the one that the log did not take, or the next."""
        if not self._sending:
            self._sending = [self._buffer.popleft() for _ in range(min(self._batch_size, len(self._buffer)))]
        try:
            refused = await self._log.publish(self._sending)
        except EventLogError:
            self._failed += 1
            raise
        if refused:
            log.error("the event log refused %d records for good", refused)
        self._refused += refused
        self._published += len(self._sending) - refused
        self._sending = []

    async def _try_to_send(self) -> None:
        try:
            await self._send()
        except EventLogError:
            await asyncio.sleep(FIRST_PAUSE_S)
