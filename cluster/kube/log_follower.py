"""The logs of several containers as one stream, over restarts, new pods and dropped connections.

One thread follows the pods, one reads each container, and the caller's thread prints. The queue between them is
bounded: a printer that stands still holds the readers up for ``PATIENCE_S``, then lines are dropped and counted.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from cluster.kube.errors import ApiError, KubeError, UnreachableError
from cluster.kube.log_parts import Part, short_name
from cluster.kube.manifest import Key, Object
from cluster.kube.reader import Reader

WAITING_LINES = 2_000
PATIENCE_S = 2.0
STREAMS = 40
"""Containers that are read at once."""

RETRIES = 8
_FIRST_BACKOFF_S = 0.25
_LONGEST_BACKOFF_S = 8.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a container's log, or, where ``note``, of ours about it. ``source`` is the pod's short name."""

    source: str
    text: str
    note: bool = False


@dataclass(frozen=True, slots=True)
class Extent:
    """How far back a container's log is read when it is first met."""

    tail: int | None = None
    since_s: int | None = None


class LogFollower:
    """Reads while it is entered.

    Args:
        kube: The API server.
        namespace: Of the pods.
        labels: Selector of the pods that are followed.
        part: Which of them, and which container.
        extent: For the containers that run at the start; of those that start later, everything is read.
        deadline: By ``time.monotonic()``.
    """

    def __init__(
        self,
        kube: Reader,
        namespace: str | None,
        labels: str,
        part: Part,
        extent: Extent,
        deadline: float,
        *,
        waiting_lines: int = WAITING_LINES,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._labels = labels
        self._part = part
        self._extent = extent
        self._deadline = deadline
        self._patience_s = patience_s
        self._lines: queue.Queue[Line | KubeError] = queue.Queue(waiting_lines)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._read: set[str] = set()
        self._readers = 0
        self._dropped: dict[str, int] = {}
        self._began = time.time()

    def __enter__(self) -> Self:
        self._start(self._follow_pods, "pods")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()

    @property
    def dropped(self) -> int:
        """Lines that were dropped so far."""
        with self._lock:
            return sum(self._dropped.values())

    def lines(self) -> Iterator[Line]:
        """What is read, as it comes, until the deadline. Drops are told as a note when they are over.

        Raises:
            KubeError: the pods cannot be followed.
        """
        told: dict[str, int] = {}
        while (left := self._deadline - time.monotonic()) > 0:
            try:
                found = self._lines.get(timeout=left)
            except queue.Empty:
                found = None
            if isinstance(found, KubeError):
                raise found
            if found is not None:
                yield found
            if found is None or self._lines.empty():
                with self._lock:
                    now = dict(self._dropped)
                for source, count in now.items():
                    if new := count - told.get(source, 0):
                        yield Line(source, f"{new} lines dropped: they came faster than they could be printed", True)
                told = now

    def _follow_pods(self) -> None:
        try:
            pods = self._kube.watch("v1", "Pod", self._namespace, deadline=self._deadline, labels=self._labels)
            for change, pod in pods:
                if self._stopped.is_set():
                    return
                container = self._part.container(pod)
                if change != "DELETED" and container:
                    self._meet(pod, container)
        except KubeError as error:
            self._put(error)

    def _meet(self, pod: Object, container: str) -> None:
        """Read a container that runs, or has ended before anyone could, once."""
        identity, started = _running(pod, container)
        if identity is None or identity in self._read:
            return
        if self._readers >= STREAMS:
            self._put(Line(short_name(pod), f"not read: {STREAMS} containers are read already", note=True))
            self._read.add(identity)
            return
        known = any(each.startswith(f"{pod['metadata']['uid']} ") for each in self._read)
        self._read.add(identity)
        if known:
            self._put(Line(short_name(pod), f"{container} was started anew", note=True))
        early = not known and started <= self._began
        with self._lock:
            self._readers += 1
        self._start(
            lambda: self._read_container(pod, container, self._extent if early else Extent()), short_name(pod)
        )

    def _read_container(self, pod: Object, container: str, extent: Extent) -> None:
        metadata, source = pod["metadata"], short_name(pod)
        identity, _ = _running(pod, container)
        failures, last = 0, time.monotonic()
        try:
            while not self._stopped.is_set() and time.monotonic() < self._deadline:
                try:
                    for text in self._kube.logs(
                        metadata["name"],
                        metadata["namespace"],
                        container=container,
                        follow=True,
                        tail=extent.tail,
                        since_s=extent.since_s,
                    ):
                        if self._stopped.is_set():
                            return
                        failures, last = 0, time.monotonic()
                        self._put(Line(source, text))
                    ended = f"the log of {container} ended"
                except UnreachableError as error:
                    ended = str(error)
                # Its status follows the end of a container a moment later.
                self._stopped.wait(min(_FIRST_BACKOFF_S * 2**failures, _LONGEST_BACKOFF_S))
                now = self._kube.find(Key("v1", "Pod", metadata["name"], metadata["namespace"]))
                if now is None or _running(now, container)[0] != identity or not _is_running(now, container):
                    return  # it has ended; what comes after it is met by its own
                failures += 1
                if failures > RETRIES:
                    self._put(Line(source, f"given up after {RETRIES} tries: {ended}", note=True))
                    return
                self._put(Line(source, "connected anew; up to a second of lines may come twice", note=True))
                extent = Extent(since_s=max(math.ceil(time.monotonic() - last), 1))
        except ApiError as error:
            self._put(Line(source, error.message, note=True))
        except KubeError as error:
            self._put(Line(source, str(error), note=True))
        finally:
            with self._lock:
                self._readers -= 1

    def _put(self, line: Line | KubeError) -> None:
        try:
            self._lines.put(line, timeout=self._patience_s)
        except queue.Full:
            source = line.source if isinstance(line, Line) else ""
            with self._lock:
                self._dropped[source] = self._dropped.get(source, 0) + 1

    def _start(self, target: Callable[[], None], name: str) -> None:
        threading.Thread(target=target, name=f"logs-{name}", daemon=True).start()


def _status(pod: Object, container: str) -> dict[str, Any]:
    found = (pod.get("status") or {}).get("containerStatuses") or []
    return next((each for each in found if each["name"] == container), {})


def _is_running(pod: Object, container: str) -> bool:
    return "running" in (_status(pod, container).get("state") or {})


def _running(pod: Object, container: str) -> tuple[str | None, float]:
    """What makes this run of the container this one (``None``: it has not started), and when it began (Unix time)."""
    status = _status(pod, container)
    state: dict[str, dict[str, str]] = status.get("state") or {}
    run = state.get("running") or state.get("terminated")
    if run is None:
        return None, 0.0
    began = run.get("startedAt")
    began_s = datetime.fromisoformat(began).timestamp() if began else 0.0
    return f"{pod['metadata']['uid']} {container} {status.get('containerID')}", began_s
