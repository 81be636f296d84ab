"""Replays requests against the gateway at a steady rate, whatever the answers do (open loop), bounded in flight."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from jobs.run.tally import Outcome, Tally

IN_FLIGHT = 64
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request to replay: its V2 body, its sticky key and what really happened."""

    body: bytes
    key: str
    label: int


class Replay:
    """Sends requests until stopped, or until there are none left; nothing is retried.

    Args:
        url: the inference route.
        output: name of the output that holds the score.
        rate: requests per second.
    """

    def __init__(self, url: str, output: str, requests: Iterator[Request], rate: float, tally: Tally) -> None:
        self._url, self._output, self._requests, self._tally = url, output, requests, tally
        self._interval = 1.0 / rate
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Send nothing more; requests in flight are awaited."""
        self._stop.set()

    async def run(self) -> None:
        """Send until stopped."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            due = time.monotonic()
            for request in self._requests:
                await self._room.acquire()
                if self._stop.is_set():
                    return
                group.create_task(self._send(session, request))
                due = max(due + self._interval, time.monotonic() - 1.0)  # never catch up on more than a second
                delay = due - time.monotonic()
                if delay > 0:
                    await asyncio.sleep(delay)

    async def _send(self, session: aiohttp.ClientSession, request: Request) -> None:
        started, phase = time.monotonic(), self._tally.phase
        version, score, error = None, 0.0, None
        fell_over: tuple[str, ...] = ()
        headers = {"content-type": "application/json", "x-sticky-key": request.key}
        try:
            async with session.post(self._url, data=request.body, headers=headers) as response:
                text = await response.text()
                if response.status == 200:
                    reply = json.loads(text)
                    version, score = reply["model_version"], _score(reply, self._output)
                    fell_over = tuple(response.headers.get("x-failed-versions", "").replace(",", " ").split())
                else:
                    error = f"{response.status}: {text[:200]}"
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        finally:
            self._room.release()
        ended = time.monotonic()
        self._tally.add(Outcome(request.key, started, ended, version, score, request.label, fell_over, error), phase)


def _score(reply: dict[str, Any], output: str) -> float:
    return float(next(found for found in reply["outputs"] if found["name"] == output)["data"][0])
