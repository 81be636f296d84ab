"""Sends a buffer's sums to Redis, each second on the wall clock's second.

A writer overwrites its own field with the whole sums of a tick, so that sending twice, after a reply that was lost,
changes nothing; sums that have changed since are sent again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.monitoring.samples.encoding import encode, field_of, key_of
from app.monitoring.samples.loss_buffer import DueSums, LossBuffer
from app.periodic import Periodic
from app.settings import SampleSettings

log = logging.getLogger(__name__)

FIELDS = 256
"""Ticks that travel in one call."""

# Overwrites fields that are there, adds others while there is room. ARGV: most fields, seconds to live, and pairs of
# field and value. Answers how many found no room.
_WRITE = """
local room = tonumber(ARGV[1]) - redis.call('HLEN', KEYS[1])
local refused = 0
for i = 3, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  elseif room > 0 then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    room = room - 1
  else
    refused = refused + 1
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return refused
"""


@dataclass(frozen=True, slots=True)
class SampleStats:
    """Counts since the start.

    Attributes:
        noted: requests and pairs taken down.
        dropped: of these, those that were held too long while Redis was away, or left when the process ended.
        written_ticks: sums of a tick that Redis took.
        dropped_ticks_full: sums of a tick that found no room in Redis.
        failed_sends: calls without an answer; what they carried is sent again.
    """

    noted: int
    dropped: int
    written_ticks: int
    dropped_ticks_full: int
    failed_sends: int


class SampleWriter:
    """The way of one process's sums to Redis. All methods belong to one event loop.

    Args:
        redis: a client; its owner closes it.
        writer: name of this process, which no other one has.
        timeout_s: deadline of one call, seconds.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        losses: LossBuffer,
        redis: Redis,
        writer: str,
        limits: SampleSettings,
        timeout_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._losses = losses
        self._write = redis.register_script(_WRITE)
        self._writer = writer
        self._limits = limits
        self._timeout_s = timeout_s
        self._clock = clock
        self._written = self._full = self._failed = self._left = 0
        self._sending = Periodic(
            "sending samples",
            self.flush,
            self._until_next_second,
            expected=(RedisError, OSError),
            consequence="they are held until it works",
        )

    def start(self) -> None:
        """Begins to send, on the running loop."""
        self._sending.start()

    async def stop(self) -> None:
        """Sends what is held a last time, within one call's deadline; the rest is dropped and counted."""
        await self._sending.stop()
        with suppress(RedisError, OSError):
            async with asyncio.timeout(self._timeout_s):
                await self.flush(everything=True)
        self._left = self._losses.unsent()

    async def flush(self, everything: bool = False) -> None:
        """Sends what is due.

        Args:
            everything: the running tick, too.

        Raises:
            RedisError, OSError: Redis is away; what was not sent stays due.
        """
        due = self._losses.due(everything)
        try:
            for release, ticks in groupby(
                sorted(due, key=lambda one: (one.release, one.tick)), lambda one: one.release
            ):
                whole = list(ticks)
                for start in range(0, len(whole), FIELDS):
                    await self._send(release, whole[start : start + FIELDS])
        except (RedisError, OSError):  # a passed deadline is a TimeoutError, which is an OSError
            self._failed += 1
            raise
        finally:
            self._losses.forget()

    def stats(self) -> SampleStats:
        """Counts since the start."""
        return SampleStats(
            noted=self._losses.added,
            dropped=self._losses.dropped + self._left,
            written_ticks=self._written,
            dropped_ticks_full=self._full,
            failed_sends=self._failed,
        )

    async def _send(self, release: str, ticks: Sequence[DueSums]) -> None:
        fields: list[str | bytes] = []
        for due in ticks:
            fields += field_of(due.tick, self._writer), encode(due.sums)
        async with asyncio.timeout(self._timeout_s):
            refused = int(
                await self._write(keys=[key_of(release)], args=[self._limits.max_fields, self._limits.ttl_s, *fields])
            )
        for due in ticks:
            self._losses.sent(due)
        self._written += len(ticks) - refused
        self._full += refused
        if refused:
            log.warning("samples of release %s: no room for %d ticks; no controller reads them", release, refused)

    def _until_next_second(self) -> float:
        now = self._clock()
        return int(now) + 1 - now
