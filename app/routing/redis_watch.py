"""Follows something that Redis holds: subscribed to a channel of changes, and re-read at an interval."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


class Watch:
    """What is common to the watches; each says how it reads and what it keeps.

    While Redis is away what was read last stays in force; ``age_s`` says for how long.

    Args:
        redis: a client of its own, closed by :meth:`stop`.
        channel: where changes are announced; the message names what has changed.
        refresh_s: interval of the re-reading, for an announcement that did not arrive, seconds.
        what: what is watched, for the log ("route tables").
    """

    def __init__(self, redis: Redis, channel: str, refresh_s: float, what: str) -> None:
        self._redis = redis
        self._channel = channel
        self._refresh_s = refresh_s
        self._what = what
        self._read_at: float | None = None
        self._read = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        # redis-py sends through asyncio.wait_for, which before Python 3.12 can swallow a cancellation.
        self._stopping = False

    @property
    def age_s(self) -> float | None:
        """Seconds since all was last read from Redis; None before the first time."""
        return None if self._read_at is None else time.monotonic() - self._read_at

    def start(self) -> None:
        """Begin to watch, on the running loop."""
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._listen())]

    async def stop(self) -> None:
        """End the watch and close the connection."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self._redis.aclose()

    async def refresh(self) -> None:
        """Read everything now.

        Raises:
            redis.RedisError: Redis is away; all stays as it is.
        """
        await self._read_all()
        self._read_at = time.monotonic()
        self._read.set()

    async def first_read(self) -> None:
        """Wait until everything has been read once."""
        await self._read.wait()

    async def _read_all(self) -> None:
        """Read everything and keep what is newer."""
        raise NotImplementedError

    async def _read_one(self, name: str) -> None:
        """Read what an announcement named, and keep it if it is newer."""
        raise NotImplementedError

    async def _poll(self) -> None:
        away = False
        while not self._stopping:
            try:
                await self.refresh()
                if away:
                    log.warning("Redis answers again; %s are current", self._what)
                away = False
            except (RedisError, OSError, ValueError) as error:
                if not away:
                    log.warning("%s cannot be read (%s); the last good ones stay in force", self._what, error)
                away = True
            await asyncio.sleep(self._refresh_s)

    async def _listen(self) -> None:
        while not self._stopping:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(self._channel)
                    while not self._stopping:
                        message = await channel.get_message(timeout=self._refresh_s)
                        if message is not None:
                            data = message["data"]
                            await self._read_one(data.decode() if isinstance(data, bytes) else data)
            except (RedisError, OSError, ValueError):  # ValueError: a document that cannot be read
                await asyncio.sleep(self._refresh_s)  # the poll says what is wrong, once
