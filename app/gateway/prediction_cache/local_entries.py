"""Entries that one replica keeps in its own memory: least recently used leave first, none outlives its ttl."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    value: T
    size: int
    until: float


class LocalEntries(Generic[T]):
    """Values by key, bounded in bytes and in number. Every operation is O(1), amortised over what it evicts.

    Args:
        max_bytes: of all values together, as their sizes are told.
        clock: monotonic, seconds.
    """

    def __init__(self, max_bytes: int, max_entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._clock = clock
        self._held: OrderedDict[bytes, _Held[T]] = OrderedDict()
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: bytes) -> T | None:
        """The value, unless its ttl has passed."""
        held = self._held.get(key)
        if held is None:
            return None
        if held.until <= self._clock():
            self._drop(key)
            return None
        self._held.move_to_end(key)
        return held.value

    def put(self, key: bytes, value: T, size: int, ttl_s: float) -> None:
        """Keeps a value for ``ttl_s`` seconds; one that is larger than all the room is not kept."""
        self._drop(key)
        if size > self._max_bytes:
            return
        self._held[key] = _Held(value, size, self._clock() + ttl_s)
        self.held_bytes += size
        while self.held_bytes > self._max_bytes or len(self._held) > self._max_entries:
            _, evicted = self._held.popitem(last=False)
            self.held_bytes -= evicted.size

    def _drop(self, key: bytes) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self.held_bytes -= held.size
