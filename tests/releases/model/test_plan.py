from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from app.releases.model.plan import PlanError, ReleasePlan, load, parse

CANARY: dict[str, Any] = {
    "strategy": "canary",
    "steps": [{"weight": 0.05, "min_duration": "1m", "gate": "time"}, {"weight": 0.5, "max_duration": "1h"}],
    "guards": [{"metric": "errors", "tolerance": 1.2}, {"metric": "latency", "objective": "250ms"}],
}


def test_a_plan_says_its_durations_in_units() -> None:
    plan = parse(CANARY | {"scale_down_delay": 5})
    assert [step.min_duration for step in plan.steps] == [60.0, 0.0]
    assert plan.steps[1].max_duration == 3600.0
    assert plan.scale_down_delay == 5.0
    assert plan.guards[1].objective == 0.25  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [{"weight": 1.5}]}, "steps.0.weight 1.5"),
        ({"steps": [{"weight": 0.5}, {"weight": 0.1}]}, "must rise"),
        ({"steps": [{"weight": 0.5}, {"weight": 0.5}]}, "must rise"),
        ({"steps": [{"weight": 1.0}]}, "between 0 and 1"),
        ({"steps": [{"weight": 0.1, "gate": "time"}]}, "the gate time needs min_duration or min_samples"),
        ({"steps": [{"weight": 0.1, "min_duration": "5m", "max_duration": "1m"}]}, "below min_duration"),
        ({"steps": [{"weight": 0.1, "min_duration": "5 parsecs"}]}, "number with a unit"),
        ({"steps": [{"weight": 0.1, "min_duration": 10**400}]}, "accepted is a number of seconds"),
        ({"guards": [{"metric": "latency", "objective": 250}]}, "needs its unit"),
        ({"guards": [{"metric": "latency", "objective": "0.0000001ms"}]}, "greater than 0"),
        ({"guards": [{"metric": "latency", "objective": "250"}]}, "number with a unit"),
        ({"guards": [{"metric": "profit"}]}, "'errors', 'latency', 'quality', 'drift', 'agreement'"),
        ({"guards": [{"metric": "errors", "tolerance": 0.5}]}, "greater than or equal to 1"),
        ({"guards": [{"metric": "errors"}, {"metric": "errors"}]}, "errors is there 2 times"),
        ({"guards": []}, "needs at least one guard"),
        ({"guards": [{"metric": "agreement", "output": "y"}]}, "needs mirror above 0"),
        ({"guards": [{"metric": "quality", "output": "y", "loss": "error", "tolerance": 0.1}]}, "odds ratio"),
        ({"guards": [{"metric": "drift", "output": "y", "low": 1, "high": 0}]}, "low must lie below high"),
        ({"guards": [{"metric": "drift", "output": "y", "low": -math.inf}]}, "low -inf: Input should be a finite"),
        ({"guards": [{"metric": "drift", "output": "y", "low": -1e308, "high": 1e308}]}, "too far apart"),
        ({"strategy": "blue_green"}, "blue_green has one step, not 2"),
        ({"strategy": "ab", "steps": [{"weight": 0.0}]}, "share between 0 and 1"),
        ({"strategy": "shadow", "steps": [{"weight": 0.0}]}, "needs the share of requests to mirror"),
        ({"strategy": "shadow", "steps": [{"weight": 0.1}], "mirror": 1}, "before the switch"),
        ({"strategy": "blue_green", "steps": [{"weight": 0}]}, "nothing to look at"),
        ({"strategy": "rainbow"}, "'canary', 'blue_green', 'shadow' or 'ab'"),
        ({"alpha": 0}, "alpha 0"),
        ({"weights": [1]}, "weights"),
    ],
)
def test_a_plan_that_cannot_be_honoured_is_refused_with_a_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PlanError) as refused:
        parse(CANARY | change)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "blue_green", "steps": [{"weight": 0, "gate": "person"}]},
        {"strategy": "blue_green", "steps": [{"weight": 0, "gate": "judge"}], "mirror": 0.2},
        {"strategy": "shadow", "steps": [{"weight": 0, "max_duration": "1d"}], "mirror": 1},
        {"strategy": "ab", "steps": [{"weight": 0.5, "max_duration": "7d"}], "when_undecided": "roll_back"},
    ],
)
def test_every_strategy_has_a_plan(change: dict[str, Any]) -> None:
    assert parse(CANARY | change).strategy == change["strategy"]


@pytest.mark.parametrize("objective", ["250ms", "33.3333333333ms", "0.0000016ms", "99999999999d"])
def test_a_latency_is_read_again_as_it_was(objective: str) -> None:
    plan = parse(CANARY | {"guards": [{"metric": "latency", "objective": objective}]})
    assert ReleasePlan.model_validate_json(plan.model_dump_json()) == plan


def test_a_file_that_is_no_plan_says_so(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    with pytest.raises(PlanError, match=r"plan\.yaml: No such file"):
        load(file)
    file.write_text("steps: [")
    with pytest.raises(PlanError, match="is not YAML"):
        load(file)
    file.write_text("since: 2026-13-45")
    with pytest.raises(PlanError, match="is not YAML: month"):
        load(file)
    file.write_bytes(b"\xff")
    with pytest.raises(PlanError, match="is not YAML"):
        load(file)
    file.write_text("- canary")
    with pytest.raises(PlanError, match="a plan is a mapping"):
        load(file)
