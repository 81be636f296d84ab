"""Replays requests against the gateway at a steady rate, bounded in flight, each at its own instant of the past.

Requests of one instant are sent whatever the answers do (open loop). Before the first of a later instant everything
under way is awaited: were the features moved on meanwhile, a request would be answered by what was not known yet. So
the rate is kept while an answer takes no longer than the requests of one instant are apart, and falls where it does.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from jobs.run.freshness import freshness
from jobs.run.tally import Outcome, Tally

IN_FLIGHT = 64
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """One request to replay.

    Attributes:
        body: as the V2 protocol has it.
        key: sticky key.
        label: what really happened, 0 or 1; known: the instant from which it was known.
        instant: when it was asked. Both are seconds since 1970-01-01 UTC.
    """

    body: bytes
    key: str
    label: int
    instant: int
    known: int


class Replay:
    """Sends requests until stopped, or until there are none left; nothing is retried.

    Args:
        url: the inference route.
        output: name of the output that holds the score.
        requests: their instants never go back.
        rate: requests per second.
        advance: called with each new instant while no request is under way.
        answered: called with the id of each request that was answered.
        views: feature views that a version with features reads.
    """

    def __init__(
        self,
        url: str,
        output: str,
        requests: Iterator[ReplayRequest],
        rate: float,
        tally: Tally,
        advance: Callable[[int], Awaitable[None]],
        answered: Callable[[str, ReplayRequest], None],
        views: int,
    ) -> None:
        self._url, self._output, self._requests, self._tally = url, output, requests, tally
        self._interval = 1.0 / rate
        self._advance, self._on_answer, self._views = advance, answered, views
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._stop = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Send nothing more; requests in flight are awaited."""
        self._stop.set()

    async def run(self) -> None:
        """Send until stopped. What ``advance`` raises ends it."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            try:
                await self._send_in_turn(session)
                await self._answered()
            finally:
                for task in self._under_way:
                    task.cancel()
                await self._answered()

    async def _send_in_turn(self, session: aiohttp.ClientSession) -> None:
        due, instant = time.monotonic(), None
        for request in self._requests:
            if request.instant != instant:
                await self._answered()
                await self._advance(request.instant)
                instant = request.instant
            await self._room.acquire()
            if self._stop.is_set():
                return
            task = asyncio.create_task(self._send(session, request))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            due = max(due + self._interval, time.monotonic() - 1.0)  # never catch up on more than a second
            delay = due - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)

    async def _answered(self) -> None:
        """Wait for every request under way; each ends by ``TIMEOUT_S``."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _send(self, session: aiohttp.ClientSession, request: ReplayRequest) -> None:
        started, phase, rise = time.monotonic(), self._tally.phase, self._tally.rise
        version, score, error = None, 0.0, None
        fell_over: tuple[str, ...] = ()
        features = Counter[str]()
        headers = {"content-type": "application/json", "x-sticky-key": request.key}
        try:
            async with session.post(self._url, data=request.body, headers=headers) as response:
                text = await response.text()
                if response.status == 200:
                    reply = json.loads(text)
                    version, score = reply["model_version"], _score(reply, self._output)
                    fell_over = tuple(response.headers.get("x-failed-versions", "").replace(",", " ").split())
                    features = freshness(response.headers.get("x-feature-status"), self._views)
                    self._on_answer(reply["id"], request)
                else:
                    error = f"{response.status}: {text[:200]}"
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        finally:
            self._room.release()
        ended = time.monotonic()
        outcome = Outcome(request.key, started, ended, version, score, request.label, fell_over, features, error)
        self._tally.add(outcome, phase, rise)


def _score(reply: dict[str, Any], output: str) -> float:
    return float(next(found for found in reply["outputs"] if found["name"] == output)["data"][0])
