"""Consumer groups on the two Redis streams of a model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.events.event_log import EventLogError, LogEntry, R, ReadEntries
from app.events.kind import LABELS, PREDICTIONS, EventKind

T = TypeVar("T")

FIELD = b"r"
"""The field of a stream's entry that holds the record."""


async def answered(answer: Awaitable[T], timeout_s: float) -> T:
    """An answer of Redis by a deadline.

    Raises:
        EventLogError: there is none, or it is an error.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except (RedisError, OSError) as error:  # a passed deadline is a TimeoutError, which is an OSError
        reason = str(error) or type(error).__name__
        raise EventLogError(f"the event log in Redis gave no answer (deadline {timeout_s:g} s): {reason}") from error


class RedisConsumer:
    """An ``EventConsumer``: one member of a group of the same name on both streams of a model.

    Args:
        redis: a client; its owner closes it.
        timeout_s: deadline of one call, seconds.
    """

    def __init__(self, redis: Redis, model: str, group: str, member: str, timeout_s: float) -> None:
        self._redis = redis
        self._group = group
        self._member = member
        self._timeout_s = timeout_s
        self._predictions = _Side(PREDICTIONS, PREDICTIONS.stream(model))
        self._labels = _Side(LABELS, LABELS.stream(model))

    async def open(self, since_us: int, is_obsolete: Callable[[str], bool]) -> None:
        """Creates the group on both streams; see ``EventConsumer``."""
        for stream in (self._predictions.stream, self._labels.stream):
            created = self._redis.xgroup_create(stream, self._group, f"{since_us // 1000}-0", mkstream=True)
            try:
                await self._answered(created)
            except EventLogError as error:
                cause = error.__cause__
                if not (isinstance(cause, ResponseError) and str(cause).startswith("BUSYGROUP")):
                    raise
            for group in await self._answered(self._redis.xinfo_groups(stream)):
                name = group["name"].decode()
                if is_obsolete(name):
                    await self._answered(self._redis.xgroup_destroy(stream, name))

    async def drop(self) -> None:
        """Removes the group from both streams."""
        for stream in (self._predictions.stream, self._labels.stream):
            await self._answered(self._redis.xgroup_destroy(stream, self._group))

    async def read(self, count: int, wait_s: float) -> ReadEntries:
        """The next entries; see ``EventConsumer``. It never waits longer than half of its deadline."""
        found = await self._read({self._predictions.stream: ">", self._labels.stream: ">"}, count, wait_s)
        return ReadEntries(self._predictions.entries(found), self._labels.entries(found))

    async def read_predictions(self, count: int) -> list[LogEntry[Any]]:
        """The next predictions alone, without waiting."""
        return self._predictions.entries(await self._read({self._predictions.stream: ">"}, count, 0))

    async def claim(self, idle_s: float, count: int) -> ReadEntries:
        """Takes over what other members left; see ``EventConsumer``."""
        taken: list[Any] = []
        trimmed = 0
        for stream in (self._predictions.stream, self._labels.stream):
            answer: Any = await self._answered(
                self._redis.xautoclaim(stream, self._group, self._member, int(idle_s * 1000), count=count)
            )
            taken.append(answer[1])
            trimmed += len(answer[2])
        return ReadEntries(self._predictions.decoded(taken[0]), self._labels.decoded(taken[1]), trimmed)

    async def acknowledge(self, predictions: Sequence[str], labels: Sequence[str]) -> None:
        """Acknowledges entries of both streams by one pipeline."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for stream, positions in ((self._predictions.stream, predictions), (self._labels.stream, labels)):
                if positions:
                    pipe.xack(stream, self._group, *positions)
            if len(pipe):
                await self._answered(pipe.execute())

    async def _read(self, streams: dict[str, str], count: int, wait_s: float) -> dict[bytes, Any]:
        wait_ms = int(min(wait_s, self._timeout_s / 2) * 1000)
        found: Any = await self._answered(
            self._redis.xreadgroup(self._group, self._member, streams, count=count, block=wait_ms or None)  # type: ignore[arg-type]
        )
        if isinstance(found, dict):  # RESP3: {stream: [[(position, fields), …]]}
            return {stream: entries[0] for stream, entries in found.items()}
        return dict(found or [])  # RESP2: [[stream, [(position, fields), …]]]

    async def _answered(self, answer: Awaitable[T]) -> T:
        return await answered(answer, self._timeout_s)


@dataclass(frozen=True, slots=True)
class _Side(Generic[R]):
    kind: EventKind[R]
    stream: str

    def entries(self, found: dict[bytes, Any]) -> list[LogEntry[R]]:
        return self.decoded(found.get(self.stream.encode(), []))

    def decoded(self, entries: list[Any]) -> list[LogEntry[R]]:
        return [
            LogEntry(position.decode(), self.kind.decode((fields or {}).get(FIELD, b"")))
            for position, fields in entries
        ]
