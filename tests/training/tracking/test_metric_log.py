"""Metrics reach MLflow late rather than never, and training never waits for them."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from app.training.tracking import metric_log
from app.training.tracking.metric_log import MetricLog


class FakeClient:
    """MLflow that can be away, which the real one cannot be for one test only."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.taken: list[tuple[str, float, int]] = []

    def log_batch(self, run_id: str, metrics: list[Any]) -> None:
        if not self.back.is_set():
            raise ConnectionError("away")
        self.taken += [(metric.key, metric.value, metric.step) for metric in metrics]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    monkeypatch.setattr(metric_log, "SEND_EVERY_S", 0.02)
    return FakeClient()


def test_metrics_that_mlflow_did_not_take_are_sent_again(client: FakeClient) -> None:
    said: list[str] = []
    log = MetricLog(client, "run", said.append)  # type: ignore[arg-type]
    values = [("loss", float(step), step) for step in range(2500)]
    log.add(values)
    deadline = time.monotonic() + 60
    while not said:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    client.back.set()
    log.close()
    assert client.taken == values
    assert said == ["MLflow does not take metrics; they wait: away"]


def test_a_full_queue_drops_the_oldest_and_says_so(client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_log, "CAPACITY", 10)
    monkeypatch.setattr(metric_log, "CLOSE_TIMEOUT_S", 0.2)
    said: list[str] = []
    log = MetricLog(client, "run", said.append)  # type: ignore[arg-type]
    log.add([("loss", float(step), step) for step in range(25)])
    log.close()
    assert said[-1] == "25 metrics were not logged: MLflow did not take them"
