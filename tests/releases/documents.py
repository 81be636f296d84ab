"""Releases and observations as the tests of the pure parts need them."""

from __future__ import annotations

from typing import Any

from app.releases.lifecycle.orders import parse_order
from app.releases.model.plan import ReleasePlan, parse
from app.releases.model.release import Release


def plan(**changes: Any) -> ReleasePlan:
    """A canary of two steps, the first by time, the second by the judge."""
    document: dict[str, Any] = {
        "strategy": "canary",
        "steps": [
            {"weight": 0.1, "min_duration": "10s", "gate": "time"},
            {"weight": 0.5, "gate": "judge", "min_samples": 100},
        ],
        "guards": [{"metric": "errors", "tolerance": 1.2}],
        "scale_down_delay": "30s",
    }
    return parse(document | changes)


def release(**changes: Any) -> Release:
    """Version 2 against the champion 1 of flights, which has two replicas, just begun."""
    fields: dict[str, Any] = {
        "id": "r1",
        "model": "flights",
        "challenger": "2",
        "champion": "1",
        "before": {"1": 1.0},
        "replicas": 2,
        "plan": plan(),
        "created": 0.0,
        "since": 0.0,
    }
    return Release(**(fields | changes))


def ordered(held: Release, verb: str, who: str, now: float, **options: Any) -> Release:
    """The release after an order."""
    return parse_order(verb, options).apply(held, who, now)
