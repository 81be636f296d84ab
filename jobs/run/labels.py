"""Outcomes of the flights, posted to the gateway as they land by the replay's clock."""

from __future__ import annotations

import asyncio
import heapq
import json
import time
from dataclasses import dataclass

import aiohttp

BATCH = 500
"""Labels in one request at most."""
EVERY_S = 0.25
"""Interval at which landed flights are posted, seconds."""
RETRY_S = 0.5
TIMEOUT_S = 10.0
MAX_WAITING = 20_000
"""Flights in the air, or waiting to be posted, at most; further ones are dropped and counted."""


@dataclass(slots=True)
class LabelCounts:
    """Counts since the start.

    Attributes:
        posted: labels that the gateway took.
        dropped: found no room here.
        refused: the gateway refused them for good.
        retried: requests that were made again.
        waiting: flights in the air, or landed and not posted yet.
    """

    posted: int = 0
    dropped: int = 0
    refused: int = 0
    retried: int = 0
    waiting: int = 0


class LabelFeed:
    """Holds each answered request until its flight has landed, then posts the outcome; off the request's path.

    Args:
        url: of ``POST /feedback``.
        model: whose predictions they were.
    """

    def __init__(self, url: str, model: str, max_waiting: int = MAX_WAITING) -> None:
        self._url, self._model, self._max_waiting = url, model, max_waiting
        self._flying: list[tuple[int, str, int]] = []
        self._landed: list[tuple[str, int]] = []
        self._some = asyncio.Event()
        self.counts = LabelCounts()

    def answered(self, request_id: str, known: int, label: int) -> None:
        """Take a request that was answered.

        Args:
            known: the instant from which the outcome is known, seconds since 1970-01-01 UTC.
            label: 1 if the flight was late, else 0.
        """
        if self.counts.waiting >= self._max_waiting:
            self.counts.dropped += 1
            return
        self.counts.waiting += 1
        heapq.heappush(self._flying, (known, request_id, label))

    def advance(self, instant: int) -> None:
        """Move the replay's clock on: flights that have landed by then are due."""
        while self._flying and self._flying[0][0] <= instant:
            _, request_id, label = heapq.heappop(self._flying)
            self._landed.append((request_id, label))
        if self._landed:
            self._some.set()

    async def run(self) -> None:
        """Post what is due until cancelled; labels wait while the gateway does not take them."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
            due = time.monotonic()
            while True:
                await self._some.wait()
                due = max(due + EVERY_S, time.monotonic())
                batch, self._landed = self._landed[:BATCH], self._landed[BATCH:]
                if not self._landed:
                    self._some.clear()
                await self._post(session, batch)
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _post(self, session: aiohttp.ClientSession, batch: list[tuple[str, int]]) -> None:
        body = json.dumps(
            [{"model": self._model, "request_id": request_id, "label": label} for request_id, label in batch]
        )
        while True:
            try:
                async with session.post(
                    self._url, data=body, headers={"content-type": "application/json"}
                ) as response:
                    if response.status == 202:
                        self.counts.posted += len(batch)
                        break
                    if 400 <= response.status < 500 and response.status not in (404, 429):
                        self.counts.refused += len(batch)
                        break
            except (aiohttp.ClientError, TimeoutError):
                pass
            self.counts.retried += 1
            await asyncio.sleep(RETRY_S)
        self.counts.waiting -= len(batch)
