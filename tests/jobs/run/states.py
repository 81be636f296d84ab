"""States of a release as the gateway gives them, for tests."""

from __future__ import annotations

from typing import Any

GUARD = {
    "name": "quality",
    "verdict": "undecided",
    "fail_e": 6.3,
    "pass_e": 0.5,
    "bound": 40.0,
    "n_challenger": 120,
    "n_champion": 1080,
    "rate_challenger": 0.12,
    "rate_champion": 0.1,
}


def state(phase: str, second: int, weight: float | None = 0.0, **more: Any) -> dict[str, Any]:
    """A state whose phase was entered ``second`` seconds after noon."""
    return {
        "id": "flights-1",
        "model": "flights",
        "challenger": "3",
        "champion": "2",
        "strategy": "canary",
        "state": phase,
        "step": 0 if phase == "step" else None,
        "steps": 3,
        "weight": weight,
        "weights": None,
        "paused": False,
        "ended": phase in ("promoted", "rolled_back", "cancelled"),
        "reason": "",
        "since": f"2026-11-23T12:00:{second:02}Z",
        "waiting_for": "",
        "judge": None,
        "history": [],
    } | more


def judge(verdict: str = "undecided", **guard: Any) -> dict[str, Any]:
    """The judge's report with one guard."""
    return {"verdict": verdict, "fail_e": 6.3, "pass_bound": 20.0, "guards": [GUARD | guard]}
