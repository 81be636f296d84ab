"""The load: connections that are kept busy in bursts. Between bursts nothing is under way."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from dataclasses import dataclass

import numpy as np

from jobs.bench.serving.connection import Connection
from jobs.bench.serving.v2_request import Request, Target, encode

REPLY_TIMEOUT_S = 30.0
"""Longest wait for the last replies of a burst."""
CHECKED_EVERY = 61
"""One reply in so many is decoded and its number compared. A prime: it comes round to every connection and row."""
MAX_FAILURES = 100
"""A burst with more ends early: its figures would say nothing."""
_RETRY_S = 0.05
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Plan:
    """The first line of the process's input: where it sends requests, on how many connections."""

    target: Target
    connections: int


@dataclass(frozen=True, slots=True)
class Order:
    """One burst: until so many requests were sent, or for so long; one of the two."""

    requests: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Burst:
    """The outcome of a burst.

    Attributes:
        requests: replies with status 200.
        failed: other replies, wrong numbers, and connections lost with a request under way.
        seconds: from the first request to the last reply.
        p50_ms, p99_ms: latency of the replies with status 200, milliseconds; 0 without any.
        problems: what the first failures were.
    """

    requests: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    problems: tuple[str, ...] = ()


class Load:
    """The connections and their bursts."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests = encode(plan.target)
        self._connections: list[Connection] = []
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._next = 0

    async def open(self) -> None:
        """Connect."""
        for _ in range(self._plan.connections):
            self._connections.append(await self._connect())

    def close(self) -> None:
        """Disconnect."""
        for connection in self._connections:
            connection.close()

    async def burst(self, order: Order) -> Burst:
        """Every connection sends its next request when it has the reply to its last one.

        Raises:
            TimeoutError: replies did not come.
        """
        self._left = order.requests if order.requests is not None else sys.maxsize
        started = time.perf_counter()
        self._until = started + order.seconds if order.seconds is not None else float("inf")
        self._sent: dict[Connection, tuple[Request, float]] = {}
        self._latencies = array("d")
        self._failed = 0
        self._problems: list[str] = []
        self._done = asyncio.Event()
        for connection in self._connections:
            if connection.open:
                self._send(connection)
            else:  # closed by the server while nothing was under way
                self._reconnect(connection)
        await self._quiet()
        seconds = time.perf_counter() - started
        p50, p99 = np.percentile(self._latencies, (50, 99)) * 1e3 if self._latencies else (0.0, 0.0)
        return Burst(len(self._latencies), self._failed, seconds, float(p50), float(p99), tuple(self._problems))

    async def _quiet(self) -> None:
        """Wait until nothing is under way; without any reply for too long, give up."""
        seen = -1
        while self._sent or self._reconnecting:
            count = len(self._latencies) + self._failed
            if count == seen:
                raise TimeoutError(
                    f"{len(self._sent)} of {self._plan.connections} connections got no reply in {REPLY_TIMEOUT_S:g} s"
                )
            seen = count
            self._done.clear()
            try:
                await asyncio.wait_for(self._done.wait(), REPLY_TIMEOUT_S)
            except TimeoutError:
                continue

    def _send(self, connection: Connection) -> None:
        now = time.perf_counter()
        if self._left <= 0 or now >= self._until or self._failed > MAX_FAILURES:
            if not self._sent and not self._reconnecting:
                self._done.set()
            return
        self._left -= 1
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        self._sent[connection] = (request, now)
        connection.send(request.raw)

    def _on_reply(self, connection: Connection, status: int | None, content: bytes) -> None:
        request, sent = self._sent.pop(connection)
        took = time.perf_counter() - sent
        problem = _problem(status, content, request, check=len(self._latencies) % CHECKED_EVERY == 0)
        if problem is None:
            self._latencies.append(took)
        else:
            self._failed += 1
            if len(self._problems) < 3:
                self._problems.append(problem)
        if connection.open:
            self._send(connection)
        else:
            self._reconnect(connection)

    def _reconnect(self, lost: Connection) -> None:
        async def again() -> None:
            await asyncio.sleep(_RETRY_S)
            try:
                fresh = await self._connect()
            except OSError as error:
                self._failed += 1
                if len(self._problems) < 3:
                    self._problems.append(f"cannot connect: {error}")
                if self._failed <= MAX_FAILURES:
                    self._reconnect(lost)
                return
            self._connections[self._connections.index(lost)] = fresh
            self._send(fresh)

        task = asyncio.create_task(again())
        self._reconnecting.add(task)
        task.add_done_callback(self._reconnected)

    def _reconnected(self, task: asyncio.Task[None]) -> None:
        self._reconnecting.discard(task)
        if not self._sent and not self._reconnecting:
            self._done.set()

    async def _connect(self) -> Connection:
        target = self._plan.target
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._on_reply), target.host, target.port
        )
        return connection


def _problem(status: int | None, content: bytes, request: Request, check: bool) -> str | None:
    if status is None:
        return f"connection lost: {content.decode(errors='replace')}"
    if status != 200:
        return f"status {status}: {content[:200].decode(errors='replace')}"
    if check:
        try:
            found = float(json.loads(content)["outputs"][0]["data"][0])
        except (ValueError, LookupError, TypeError):
            return f"not a V2 reply: {content[:200].decode(errors='replace')}"
        if abs(found - request.expected) > _TOLERANCE:
            return f"{found} where the model gives {request.expected}"
    return None
