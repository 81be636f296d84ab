"""Steady traffic against the gateway from a thread of its own, for as long as a block runs."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter

import httpx

from tests.support.background import Background

PAUSE_S = 0.02
BACK_OFF_S = 0.1
"""Before a second try twice this long, then twice as long each time, as clients that retry do."""


class Load(Background):
    """Requests one after the other on ``threads`` connections; every answer is counted.

    Args:
        pause_s: between two of a connection, seconds: without one, two cores have no time for what is tested.
        tries: how often a caller sends a request that got no answer or a 5xx before it counts as failed.
        x: what the requests hold; numbers from 0 to 96 if None.

    Attributes:
        seconds: how long each answer took, in the order of their arrival.
    """

    def __init__(
        self, url: str, model: str, threads: int = 4, tries: int = 1, x: float | None = None, pause_s: float = PAUSE_S
    ) -> None:
        self._url, self._tries, self._pause_s = f"{url}/v2/models/{model}/infer", tries, pause_s
        self._numbers, self._x = itertools.count(), x
        self._lock = threading.Lock()
        super().__init__(*[self._run] * threads)
        self.versions: Counter[str] = Counter()
        self.failures: list[str] = []
        self.seconds: list[float] = []
        self.by_key: dict[str, list[str]] = {}

    @property
    def answered(self) -> int:
        """Requests answered so far."""
        return sum(self.versions.values())

    def await_answers(self, more: int, timeout_s: float = 180) -> None:
        """Block until ``more`` further requests were answered."""
        wanted, deadline = self.answered + more, time.monotonic() + timeout_s
        while self.answered < wanted:
            assert time.monotonic() < deadline, (
                f"only {self.answered} of {wanted} answers; failures: {self.failures[:3]}"
            )
            time.sleep(0.02)

    def _run(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._stop.wait(self._pause_s):
                number = next(self._numbers)
                key = f"k{number % 500}"
                started = time.perf_counter()
                answer = self._answer(client, key, float(number % 97) if self._x is None else self._x)
                with self._lock:
                    if answer.startswith("version "):
                        self.versions[answer[8:]] += 1
                        self.seconds.append(time.perf_counter() - started)
                        self.by_key.setdefault(key, []).append(answer[8:])
                    else:
                        self.failures.append(answer)

    def _answer(self, client: httpx.Client, key: str, x: float) -> str:
        body = infer_body(x)
        problem = ""
        for attempt in range(self._tries):
            if attempt:
                time.sleep(BACK_OFF_S * 2**attempt)
            try:
                response = client.post(self._url, json=body, headers={"x-sticky-key": key})
            except httpx.HTTPError as error:
                problem = repr(error)
                continue
            if response.status_code == 200:
                reply = response.json()
                assert reply["outputs"][0]["data"] == [2 * x]
                return f"version {reply['model_version']}"
            problem = f"{response.status_code} {response.text[:200]}"
        return problem


def infer_body(x: float, user: str = "u1") -> dict[str, object]:
    """A request for the test model."""
    return {
        "inputs": [
            {"name": "x", "shape": [1], "datatype": "FP64", "data": [x]},
            {"name": "user", "shape": [1], "datatype": "BYTES", "data": [user]},
        ]
    }
