"""Step metrics on their way to MLflow: from a thread of its own, so that a registry that is away holds nothing up."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from mlflow import MlflowClient
from mlflow.entities import Metric

CAPACITY = 100_000
BATCH = 1000
"""What MLflow takes in one request."""
SEND_EVERY_S = 1.0
CLOSE_TIMEOUT_S = 30.0


class MetricLog:
    """A bounded queue of one run's metrics. What MLflow did not take is sent again; when the queue is full the oldest
    are dropped, and counted.

    Args:
        say: takes a line when MLflow goes away, and when something was dropped.
    """

    def __init__(self, client: MlflowClient, run_id: str, say: Callable[[str], None]) -> None:
        self._client, self._run_id, self._say = client, run_id, say
        self._waiting: deque[Metric] = deque()
        self._lock = threading.Lock()
        self._dropped, self._away = 0, False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._send, name="metrics", daemon=True)
        self._thread.start()

    def add(self, values: Iterable[tuple[str, float, int]]) -> None:
        """Metrics as (name, value, step)."""
        now = int(time.time() * 1000)
        with self._lock:
            self._waiting.extend(Metric(name, value, now, step) for name, value, step in values)
            while len(self._waiting) > CAPACITY:
                self._waiting.popleft()
                self._dropped += 1

    def close(self) -> None:
        """Sends what is waiting, within ``CLOSE_TIMEOUT_S``, and reports what was dropped."""
        self._closing.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        left = self._dropped + len(self._waiting)
        if left:
            self._say(f"{left} metrics were not logged: MLflow did not take them")

    def _send(self) -> None:
        deadline = None
        while True:
            closing = self._closing.wait(SEND_EVERY_S)
            if closing and deadline is None:
                deadline = time.monotonic() + CLOSE_TIMEOUT_S
            with self._lock:
                batch = [self._waiting[index] for index in range(min(BATCH, len(self._waiting)))]
            if batch and self._sent(batch):
                with self._lock:
                    for metric in batch:
                        if self._waiting and self._waiting[0] is metric:
                            self._waiting.popleft()
            if deadline is not None and (not self._waiting or time.monotonic() > deadline):
                return

    def _sent(self, batch: list[Metric]) -> bool:
        try:
            self._client.log_batch(self._run_id, metrics=batch)
        except Exception as error:  # whatever it is, training goes on
            if not self._away:
                self._say(f"MLflow does not take metrics; they wait: {str(error).splitlines()[0][:200]}")
            self._away = True
            return False
        self._away = False
        return True
