"""Kinds of objects followed by one watch each, and seen as one snapshot."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

from cluster.kube.errors import ApiError
from cluster.kube.manifest import Object, key_of
from cluster.kube.reader import Reader
from cluster.kube.snapshot import Snapshot

QUIET_S = 0.2
"""Changes come in bursts (what is there first, a status after each write): so much silence ends one."""
BURST_S = 1.0


class Kind(NamedTuple):
    """Kind that one watch follows. If it is ``needed``, the server's refusal is an error."""

    api_version: str
    kind: str
    namespace: str | None
    needed: bool = True


class Observer:
    """Follows ``kinds`` in threads from the moment it is entered until it is left, or until ``deadline``.

    A thread that waits for a line when it is left ends with the watch's deadline or with the process.

    Args:
        reader: The API server.
        kinds: What to follow; memory holds every object of them once.
        deadline: By ``time.monotonic()``.
    """

    def __init__(self, reader: Reader, kinds: Iterable[Kind], deadline: float) -> None:
        self._reader = reader
        self._deadline = deadline
        self._kinds = list(dict.fromkeys(kinds))
        self._changed = threading.Condition()
        self._objects: dict[str, Object] = {}
        self._error: BaseException | None = None
        self._version = 0
        self._closed = False

    def __enter__(self) -> Self:
        for kind in self._kinds:
            threading.Thread(target=self._follow, args=(kind,), name=f"watch-{kind.kind}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True

    def snapshots(self) -> Iterator[tuple[Snapshot, Again]]:
        """A snapshot now, and one after every burst of changes, or when the time given to ``Again`` has come.

        Raises:
            KubeError: a needed kind cannot be followed.
        """
        seen = -1
        while True:
            again = Again()
            with self._changed:
                self._settle(seen)
                if self._error is not None:
                    raise self._error
                seen = self._version
                snapshot = Snapshot.of(self._objects.values())
            yield snapshot, again
            with self._changed:
                self._wait_past(seen, min(again.at, self._deadline))

    def _wait_past(self, seen: int, until: float) -> None:
        self._changed.wait_for(lambda: self._version > seen, timeout=max(until - time.monotonic(), 0))

    def _settle(self, seen: int) -> None:
        end = min(time.monotonic() + BURST_S, self._deadline)
        if seen < 0:
            self._wait_past(0, end)  # what is there is on its way
        version = seen
        while version != self._version and self._error is None:
            version = self._version
            self._changed.wait(timeout=max(min(QUIET_S, end - time.monotonic()), 0))
            if time.monotonic() >= end:
                return

    def _follow(self, kind: Kind) -> None:
        try:
            for change, obj in self._reader.watch(
                kind.api_version, kind.kind, kind.namespace, deadline=self._deadline
            ):
                with self._changed:
                    if self._closed:
                        return
                    self._learn(change, obj)
        except ApiError as error:
            if kind.needed:
                self._fail(error)
        except Exception as error:  # raised by snapshots(), which would wait for it otherwise
            self._fail(error)

    def _learn(self, change: str, obj: Object) -> None:
        identity = f"{obj['kind']} {key_of(obj)}"
        if change == "DELETED":
            self._objects.pop(identity, None)
        else:
            self._objects[identity] = obj
        self._version += 1
        self._changed.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._version += 1
            self._changed.notify_all()


class Again:
    """When to look again although nothing has changed, by ``time.monotonic()``."""

    def __init__(self) -> None:
        self.at = float("inf")
