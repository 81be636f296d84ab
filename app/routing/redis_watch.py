"""Follows something that Redis holds: subscribed to a channel of changes, and re-read at an interval."""

from __future__ import annotations

import asyncio
import time

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.periodic import Periodic

_AWAY = (RedisError, OSError, ValueError)  # ValueError: a document that cannot be read


class Watch:
    """Base of the watches; a subclass says how it reads and what it keeps.

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
        self._read_at: float | None = None
        self._read = asyncio.Event()
        self._reading = Periodic(
            f"reading {what}",
            self.refresh,
            refresh_s,
            expected=_AWAY,
            consequence="the last good ones stay in force",
        )
        self._listening = Periodic(
            f"listening for changes of {what}",
            self._listen,
            refresh_s,
            expected=_AWAY,
            consequence=f"they are noticed by a reading every {refresh_s:g} s",
        )

    @property
    def age_s(self) -> float | None:
        """Seconds since all was last read from Redis; None before the first time."""
        return None if self._read_at is None else time.monotonic() - self._read_at

    def start(self) -> None:
        """Begins to watch, on the running loop."""
        self._reading.start()
        self._listening.start()

    async def stop(self) -> None:
        """Ends the watch and closes the connection."""
        await asyncio.gather(self._listening.stop(), self._reading.stop())
        await self._redis.aclose()

    async def refresh(self) -> None:
        """Reads everything now.

        Raises:
            redis.RedisError: Redis is away; all stays as it is.
        """
        await self._read_all()
        self._read_at = time.monotonic()
        self._read.set()

    async def first_read(self) -> None:
        """Waits until everything has been read once."""
        await self._read.wait()

    async def _read_all(self) -> None:
        """Reads everything and keeps what is newer."""
        raise NotImplementedError

    async def _read_one(self, name: str) -> None:
        """Reads what an announcement named, and keeps it if it is newer."""
        raise NotImplementedError

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(self._channel)
            self._listening.succeeded()
            while not self._listening.stopping:
                message = await channel.get_message(timeout=self._refresh_s)
                if message is not None:
                    data = message["data"]
                    await self._read_one(data.decode() if isinstance(data, bytes) else data)
