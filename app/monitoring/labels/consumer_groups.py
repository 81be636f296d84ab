"""The consumer groups of one release, on the streams of its model: who has read what, and what is not done yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.events import FIELD, LABELS, PREDICTIONS, EventKind, Label, LogEntry, Prediction, Record

R = TypeVar("R", bound=Record)
T = TypeVar("T")

PREFIX = "join:"
"""Of the groups' names. What follows is the release's id, and these sort by the time of their start."""


@dataclass(frozen=True, slots=True)
class ReadEntries:
    """Entries of both streams, oldest first.

    Attributes:
        trimmed: how many the streams had let go of before they were done.
    """

    predictions: list[LogEntry[Prediction]]
    labels: list[LogEntry[Label]]
    trimmed: int = 0


class ConsumerGroups:
    """One consumer of both groups. Every method raises ``RedisError`` or ``OSError`` when Redis is away.

    Args:
        consumer: its name, which no other process has.
        timeout_s: deadline of one call, seconds.
    """

    def __init__(self, redis: Redis, model: str, release: str, consumer: str, timeout_s: float) -> None:
        self._redis = redis
        self._name = f"{PREFIX}{release}"
        self._consumer = consumer
        self._timeout_s = timeout_s
        self._predictions = _Side(PREDICTIONS, PREDICTIONS.stream(model))
        self._labels = _Side(LABELS, LABELS.stream(model))

    @property
    def name(self) -> str:
        """The name of both groups."""
        return self._name

    async def create(self, since_ms: int) -> None:
        """Create the groups that are not there, behind the entries of an instant (milliseconds since the epoch), and
        destroy those that earlier releases left."""
        for stream in (self._predictions.stream, self._labels.stream):
            try:
                await self._answered(self._redis.xgroup_create(stream, self._name, f"{since_ms}-0", mkstream=True))
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
            for group in await self._answered(self._redis.xinfo_groups(stream)):
                name = group["name"].decode()
                if name.startswith(PREFIX) and name < self._name:
                    await self._answered(self._redis.xgroup_destroy(stream, name))

    async def destroy(self) -> None:
        """Nobody reads any more."""
        for stream in (self._predictions.stream, self._labels.stream):
            await self._answered(self._redis.xgroup_destroy(stream, self._name))

    async def read(self, count: int, wait_s: float) -> ReadEntries:
        """The next entries, up to ``count`` of each stream. Waits for a first one, never longer than half of its
        deadline."""
        found = await self._read({self._predictions.stream: ">", self._labels.stream: ">"}, count, wait_s)
        return ReadEntries(self._predictions.entries(found), self._labels.entries(found))

    async def read_predictions(self, count: int) -> list[LogEntry[Prediction]]:
        """The next predictions alone; waits for none."""
        return self._predictions.entries(await self._read({self._predictions.stream: ">"}, count, 0))

    async def claim(self, idle_s: float, count: int) -> ReadEntries:
        """Take over entries that some consumer took longer ago than ``idle_s`` and that are not done."""
        taken: list[Any] = []
        trimmed = 0
        for stream in (self._predictions.stream, self._labels.stream):
            answer: Any = await self._answered(
                self._redis.xautoclaim(stream, self._name, self._consumer, int(idle_s * 1000), count=count)
            )
            taken.append(answer[1])
            trimmed += len(answer[2])
        return ReadEntries(self._predictions.decoded(taken[0]), self._labels.decoded(taken[1]), trimmed)

    async def _read(self, streams: dict[str, str], count: int, wait_s: float) -> dict[bytes, Any]:
        wait_ms = int(min(wait_s, self._timeout_s / 2) * 1000)
        found: Any = await self._answered(
            self._redis.xreadgroup(self._name, self._consumer, streams, count=count, block=wait_ms or None)  # type: ignore[arg-type]
        )
        if isinstance(found, dict):  # RESP3: {stream: [[(position, fields), …]]}
            return {stream: entries[0] for stream, entries in found.items()}
        return dict(found or [])  # RESP2: [[stream, [(position, fields), …]]]

    async def _answered(self, answer: Awaitable[T]) -> T:
        async with asyncio.timeout(self._timeout_s):
            return await answer


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
