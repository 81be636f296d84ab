"""An event sink in this process's memory, as one of another kind would be written: everything is in the protocols."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from app.events import Label, LogEntry, Prediction, ReadEntries
from app.events.event_log import R
from app.settings import Settings

POLL_S = 0.005


class MemoryLog(Generic[R]):
    """Lists by model; a position is ``@`` and the number of records up to it."""

    start = "@0"

    def __init__(self) -> None:
        self.records: dict[str, list[R]] = {}

    def parse_position(self, text: str) -> str:
        if not text.startswith("@"):
            raise ValueError("a position such as @7")
        return text

    async def publish(self, records: Sequence[R]) -> int:
        for record in records:
            self.records.setdefault(record.model, []).append(record)
        return 0

    async def read(self, model: str, after: str, count: int, wait_s: float) -> list[LogEntry[R]]:
        deadline = time.monotonic() + wait_s
        while True:
            first = int(after[1:])
            found = self.records.get(model, [])[first : first + count]
            if found or time.monotonic() >= deadline:
                return [LogEntry(f"@{first + place}", record) for place, record in enumerate(found, 1)]
            await asyncio.sleep(POLL_S)

    async def newest(self, model: str) -> str:
        return f"@{len(self.records.get(model, []))}"

    async def models(self) -> list[str]:
        return sorted(self.records)


@dataclass
class Group:
    """A group's place in both logs, and the entries that its members have not acknowledged."""

    predictions: str
    labels: str
    pending: dict[tuple[str, str], Any] = field(default_factory=dict)


class MemoryConsumer:
    """A member of a group."""

    def __init__(self, sink: MemorySink, model: str, group: str) -> None:
        self._sink, self._model, self._name = sink, model, group

    @property
    def _group(self) -> Group:
        return self._sink.groups[self._model, self._name]

    async def open(self, since_us: int, is_obsolete: Callable[[str], bool]) -> None:
        self._sink.groups.setdefault((self._model, self._name), Group("@0", "@0"))
        for model, name in list(self._sink.groups):
            if model == self._model and is_obsolete(name):
                del self._sink.groups[model, name]

    async def read(self, count: int, wait_s: float) -> ReadEntries:
        deadline = time.monotonic() + wait_s
        while True:
            found = ReadEntries(await self.read_predictions(count), await self._read_labels(count))
            if found.predictions or found.labels or time.monotonic() >= deadline:
                return found
            await asyncio.sleep(POLL_S)

    async def read_predictions(self, count: int) -> list[LogEntry[Prediction]]:
        group = self._group
        found = await self._sink.predictions.read(self._model, group.predictions, count, 0)
        for entry in found:
            group.predictions = entry.position
            group.pending["prediction", entry.position] = entry
        return found

    async def _read_labels(self, count: int) -> list[LogEntry[Label]]:
        group = self._group
        found = await self._sink.labels.read(self._model, group.labels, count, 0)
        for entry in found:
            group.labels = entry.position
            group.pending["label", entry.position] = entry
        return found

    async def claim(self, idle_s: float, count: int) -> ReadEntries:
        return ReadEntries([], [])

    async def acknowledge(self, predictions: Sequence[str], labels: Sequence[str]) -> None:
        for position in predictions:
            self._group.pending.pop(("prediction", position), None)
        for position in labels:
            self._group.pending.pop(("label", position), None)

    async def drop(self) -> None:
        self._sink.groups.pop((self._model, self._name), None)


class MemorySink:
    """An ``EventSink``; all that are made for one address are the same one (``SHARED``)."""

    def __init__(self) -> None:
        self.predictions: MemoryLog[Prediction] = MemoryLog()
        self.labels: MemoryLog[Label] = MemoryLog()
        self.groups: dict[tuple[str, str], Group] = {}

    def consumer(self, model: str, group: str, member: str) -> MemoryConsumer:
        return MemoryConsumer(self, model, group)

    async def close(self) -> None:
        return None


SHARED: dict[str, MemorySink] = {}


def make(settings: Settings) -> MemorySink:
    """The sink of an address ``memory://NAME``."""
    assert settings.events.url is not None
    return SHARED.setdefault(settings.events.url, MemorySink())
