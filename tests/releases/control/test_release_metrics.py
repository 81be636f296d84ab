from __future__ import annotations

import math
from typing import Any

import pytest

from app.monitoring import metrics as monitoring
from app.releases.control.release_metrics import MAX_E_VALUE, ReleaseMetrics, judged
from tests.releases.documents import release


def guard(name: str, fail_e: float) -> dict[str, Any]:
    return {"name": name, "fail_e": fail_e, "bound": 40.0, "verdict": "undecided"}


class Recorded:
    """Stands in for Ray's gauge and counter."""

    values: dict[tuple[Any, ...], float] = {}  # noqa: RUF012

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        self._name, self._keys = name, tag_keys

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert tuple(tags) == self._keys
        self.values[self._name.removeprefix("tidegate_"), *tags.values()] = value

    def inc(self, value: float, tags: dict[str, str]) -> None:
        key = (self._name.removeprefix("tidegate_"), *tags.values())
        self.values[key] = self.values.get(key, 0.0) + value


def test_metrics_of_releases_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[tuple[Any, ...], float] = {}
    monkeypatch.setattr(Recorded, "values", shown)
    monkeypatch.setattr(monitoring, "Gauge", Recorded)
    monkeypatch.setattr(monitoring, "Counter", Recorded)
    metrics = ReleaseMetrics()
    held = release(phase="step", report={"guards": [guard("errors", 3.0), guard("latency", math.inf)]})
    metrics.publish([held], {"flights": {"1": 0.9, "2": 0.1}})
    assert shown == {
        ("releases", "flights", "step"): 1.0,
        ("release_weight", "flights", "2"): 0.1,
        ("release_evidence", "flights", "errors"): 3.0,
        ("release_evidence", "flights", "latency"): MAX_E_VALUE,
        ("release_evidence_bound", "flights", "errors"): 40.0,
        ("release_evidence_bound", "flights", "latency"): 40.0,
    }
    metrics.ended(release(phase="rolled_back"))
    metrics.publish([], {})
    assert shown.pop(("releases_ended", "rolled_back")) == 1
    assert set(shown.values()) == {0.0}


def test_a_release_without_a_report_has_no_evidence() -> None:
    assert judged([release()]) == ({}, {})
