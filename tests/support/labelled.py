"""Traffic of which becomes known, a moment later, what would have been right: labels by request id."""

from __future__ import annotations

import itertools
import threading
from collections import Counter

import httpx

from tests.support.background import Background
from tests.support.load import PAUSE_S, infer_body

BATCH_S = 0.3
XS = (0.0, 0.05, 0.1, 0.15, 0.2)


class LabelledLoad(Background):
    """Requests one after the other on ``threads`` connections, and a batch of their labels every 0.3 s.

    The label of a request is twice its x, so the sound test model is never wrong.
    """

    def __init__(self, url: str, model: str, threads: int = 4) -> None:
        self._url, self._model = url, model
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._due: list[dict[str, object]] = []
        super().__init__(*[self._send] * threads, self._label)
        self.answered: Counter[str] = Counter()
        self.labelled = 0
        self.failures: list[str] = []

    def _send(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._stop.wait(PAUSE_S):
                number = next(self._numbers)
                x = XS[number % len(XS)]
                identity = f"{self._model}-{id(self)}-{number}"
                headers = {"x-sticky-key": f"k{number % 500}", "x-request-id": identity}
                try:
                    reply = client.post(
                        f"{self._url}/v2/models/{self._model}/infer", json=infer_body(x), headers=headers
                    )
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                with self._lock:
                    if reply.status_code == 200:
                        self.answered[reply.json()["model_version"]] += 1
                        self._due.append({"model": self._model, "label": 2 * x, "request_id": identity})
                    else:
                        self.failures.append(f"{reply.status_code} {reply.text[:200]}")

    def _label(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._stop.wait(BATCH_S):
                with self._lock:
                    batch, self._due = self._due[:1000], self._due[1000:]
                if not batch:
                    continue
                reply = client.post(f"{self._url}/feedback", json=batch)
                if reply.status_code in (200, 202):
                    self.labelled += len(batch)
                else:
                    self.failures.append(f"{reply.status_code} {reply.text[:200]}")
