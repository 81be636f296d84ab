"""The simulation judges as the judge does, and the judge keeps its promises in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from app.releases.judge import ArmSums, BinaryHypothesis, Stratum, fold, judge, new_state
from tests.releases.judge.simulation import methods
from tests.releases.judge.simulation.methods import ALPHA, FAILED_CHECKS, JUDGE, METHODS
from tests.releases.judge.simulation.promises import HARMFUL, SAFE, Cell
from tests.releases.judge.simulation.samples import Samples, Scenario, draw

STEPS = Scenario((0.05, 0.5), drifts=True, errors=0.04)


def cell(scenario: Scenario, seconds: Sequence[float]) -> Cell:
    return Cell(scenario, {method: np.array(seconds) for method in METHODS})


def column(n_challenger: int, bad_challenger: int, bad_champion: int, seconds: int) -> Samples:
    ones = np.ones((seconds, 1), np.int64)
    return Samples(n_challenger * ones, (100 - n_challenger) * ones, bad_challenger * ones, bad_champion * ones)


def test_the_simulated_judge_is_the_judge() -> None:
    samples = draw(STEPS, 8, np.random.default_rng(3), seconds=120)
    guards = [BinaryHypothesis("errors")]
    for release, seconds in enumerate(methods.judge(samples).tolist()):
        state, found = new_state(guards), np.inf
        for tick in range(120):
            stratum = Stratum(
                ArmSums(int(samples.n_challenger[tick, release]), int(samples.bad_challenger[tick, release])),
                ArmSums(int(samples.n_champion[tick, release]), int(samples.bad_champion[tick, release])),
            )
            state = fold(guards, state, tick, {"errors": stratum})
            if judge(guards, state, ALPHA, ALPHA).verdict == "fail":
                found = tick + 1.0
                break
        assert found == seconds


def test_samples_have_the_rates_of_their_scenario() -> None:
    samples = draw(STEPS, 300, np.random.default_rng(1), seconds=200)
    assert (samples.n_challenger + samples.n_champion == 100).all()
    assert samples.n_challenger[:100].mean() == pytest.approx(5, rel=0.05)
    assert samples.n_challenger[100:].mean() == pytest.approx(50, rel=0.02)
    assert samples.bad_challenger.sum() / samples.n_challenger.sum() == pytest.approx(0.04, rel=0.05)
    assert samples.bad_champion[40:60].sum() / samples.n_champion[40:60].sum() == pytest.approx(0.03, rel=0.05)
    assert samples.bad_champion[140:160].sum() / samples.n_champion[140:160].sum() == pytest.approx(0.005, rel=0.1)


def test_other_methods_look_at_their_own_interval() -> None:
    always = column(5, 5, 1, seconds=600)
    assert {name: method(always)[0] for name, method in METHODS.items()} == {
        JUDGE: 1,
        "z-test each second": 1,
        "5 failed checks": 300,
        "Mann-Whitney": 600,
    }
    same = column(50, 1, 1, seconds=600)
    assert all(np.isinf(method(same)[0]) for method in METHODS.values())
    nobody = column(0, 0, 1, seconds=600)
    assert all(np.isinf(method(nobody)[0]) for method in METHODS.values())


def test_failed_checks_need_not_follow_each_other() -> None:
    samples = column(50, 0, 0, seconds=1200)
    for minute in (0, 2, 3, 7, 11, 12):
        samples.bad_challenger[60 * minute : 60 * minute + 60] = 2
    assert FAILED_CHECKS == 5
    assert methods.failed_checks(samples)[0] == 720


@pytest.mark.parametrize(
    "scenario",
    [*SAFE, *HARMFUL],
    ids=lambda each: f"{each.base_text}, weight {each.weight_text}, errors {each.errors}",
)
def test_promises_hold_on_a_hundred_releases(scenario: Scenario) -> None:
    samples = draw(scenario, 100, np.random.default_rng(5))
    found = Cell(scenario, {JUDGE: methods.judge(samples)})
    assert found.broken is None


def test_z_test_looked_at_each_second_breaks_the_promise() -> None:
    samples = draw(SAFE[1], 100, np.random.default_rng(5))
    broken = Cell(SAFE[1], {JUDGE: methods.z_test(samples)}).broken
    assert broken is not None
    assert "of 100 releases that are no worse were rolled back at weight 5 %, base rate 1 %" in broken


def test_median_later_than_promised_breaks_the_promise() -> None:
    harmful = HARMFUL[1]
    assert cell(harmful, [52.0] * 60 + [np.inf] * 40).broken is None
    assert cell(harmful, [52.0] * 40 + [np.inf] * 60).broken is None  # by chance
    broken = cell(harmful, [52.0] * 20 + [90.0] * 80).broken
    assert broken == "3 % errors take 90 s (median, at least 90 s) to be found; 52 s are promised"
    never = cell(harmful, [np.inf] * 100)
    assert never.broken is not None
    assert "longer than the simulation" in never.broken


def test_false_alarms_are_counted_against_a_binomial() -> None:
    most = cell(SAFE[0], [np.inf] * 100).most
    assert most == 13
    assert cell(SAFE[0], [1.0] * most + [np.inf] * (100 - most)).broken is None
    assert cell(SAFE[0], [1.0] * (most + 1) + [np.inf] * (99 - most)).broken is not None
