"""The judge's verdicts: examples, and its guarantee by simulation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from app.releases.judge import (
    ArmSums,
    BinaryHypothesis,
    BoundedHypothesis,
    Hypothesis,
    JudgeReport,
    JudgeState,
    Pairs,
    Stratum,
    fold,
    judge,
    new_state,
)

ERRORS = BinaryHypothesis("errors")
LENIENT = BinaryHypothesis("errors", odds_ratio=1.5)
NEAR = BinaryHypothesis("errors", odds_ratio=1.5, margin=0.03)
BRIER = BoundedHypothesis("brier", difference=0.05)
DRIFT = BoundedHypothesis("drift", difference=0.05, two_sided=True)


def ones(n_challenger: int, bad_challenger: int, n_champion: int, bad_champion: int) -> Stratum:
    """Ticks of a metric that is 0 or 1, so that it serves both kinds of guards."""
    return Stratum(
        ArmSums(n_challenger, bad_challenger, bad_challenger), ArmSums(n_champion, bad_champion, bad_champion)
    )


def after(
    guards: Sequence[Hypothesis], ticks: int, strata: Mapping[str, Stratum | Pairs], state: JudgeState | None = None
) -> JudgeState:
    state = state or new_state(guards)
    first = 0 if state.tick is None else state.tick + 1
    for tick in range(first, first + ticks):
        state = fold(guards, state, tick, strata)
    return state


def verdict(guards: Sequence[Hypothesis], ticks: int, strata: Mapping[str, Stratum | Pairs]) -> JudgeReport:
    return judge(guards, after(guards, ticks, strata), 0.05, 0.05)


def test_no_traffic_is_undecided() -> None:
    report = verdict([ERRORS, BRIER], 0, {})
    assert (report.verdict, report.fail_e, report.tick) == ("undecided", 1, None)
    assert {one.verdict for one in report.guards} == {"undecided"}
    assert {one.rate_challenger for one in report.guards} == {None}


@pytest.mark.parametrize(
    "guard", [ERRORS, LENIENT, BoundedHypothesis("errors"), BoundedHypothesis("errors", 0.05, True)]
)
def test_little_traffic_is_undecided(guard: Hypothesis) -> None:
    report = verdict([guard], 4, {"errors": ones(1, 0, 3, 0)})
    assert report.verdict == "undecided"
    assert (report.guards[0].n_challenger, report.guards[0].n_champion) == (4, 12)


@pytest.mark.parametrize(
    ("guard", "stratum", "says"),
    [
        (ERRORS, ones(50, 3, 950, 9), "fail"),
        (ERRORS, ones(50, 0, 50, 4), "pass"),
        (ERRORS, ones(100, 1, 100, 1), "undecided"),
        (LENIENT, ones(500, 5, 500, 5), "pass"),
        (LENIENT, ones(500, 15, 500, 5), "fail"),
        (ERRORS, Pairs(100, 9, 2, 7), "fail"),
        (ERRORS, Pairs(100, 2, 9, 7), "pass"),
        (LENIENT, Pairs(100, 9, 9, 10), "pass"),
        (LENIENT, ones(100, 0, 100, 0), "undecided"),
        (NEAR, ones(20, 0, 180, 0), "pass"),
        (NEAR, Pairs(100, 0, 0, 0), "pass"),
        (NEAR, ones(500, 15, 500, 5), "fail"),
        (BoundedHypothesis("errors", 0.05), ones(100, 35, 100, 20), "fail"),
        (BoundedHypothesis("errors", 0.05), ones(100, 15, 100, 20), "pass"),
        (BoundedHypothesis("errors", 0.05), ones(100, 24, 100, 20), "undecided"),
        (BoundedHypothesis("errors", 0.05), Pairs(100, 35, 20, 20), "fail"),
        (BoundedHypothesis("errors", 0.05), Pairs(100, 15, 20, 10), "pass"),
        (BoundedHypothesis("errors", 0.1, True), ones(100, 5, 100, 25), "fail"),
        (BoundedHypothesis("errors", 0.1, True), ones(100, 45, 100, 25), "fail"),
        (BoundedHypothesis("errors", 0.1, True), ones(100, 26, 100, 25), "pass"),
    ],
)
def test_a_minute_of_traffic_is_enough_where_it_is_clear(
    guard: Hypothesis, stratum: Stratum | Pairs, says: str
) -> None:
    report = verdict([guard], 60, {"errors": stratum})
    assert (report.verdict, report.guards[0].verdict) == (says, says)


@pytest.mark.parametrize("bad", [5, 45])
def test_drift_to_one_side_is_no_pass_for_being_far_from_the_other(bad: int) -> None:
    report = verdict([BoundedHypothesis("errors", 0.1, True)], 10, {"errors": ones(100, bad, 100, 25)})
    assert report.guards[0].pass_e < 1


def test_a_challenger_that_always_fails_is_found_at_once() -> None:
    report = verdict([ERRORS], 1, {"errors": ones(5, 5, 95, 1)})
    assert report.verdict == "fail"
    assert report.guards[0].rate_challenger == 1
    assert report.guards[0].rate_champion == pytest.approx(1 / 95)


def test_a_fail_is_final() -> None:
    state = after([ERRORS], 60, {"errors": ones(50, 3, 950, 9)})
    assert judge([ERRORS], state, 0.05, 0.05).verdict == "fail"
    state = after([ERRORS], 600, {"errors": ones(50, 0, 50, 4)}, state)
    report = judge([ERRORS], state, 0.05, 0.05)
    assert (report.verdict, report.guards[0].verdict) == ("fail", "fail")
    assert report.guards[0].pass_e > 20


def test_a_pass_is_withdrawn_by_later_evidence() -> None:
    state = after([LENIENT], 60, {"errors": ones(500, 5, 500, 5)})
    assert judge([LENIENT], state, 0.05, 0.05).verdict == "pass"
    state = after([LENIENT], 25, {"errors": ones(500, 11, 500, 5)}, state)
    assert judge([LENIENT], state, 0.05, 0.05).verdict == "undecided"


def test_a_margin_passes_what_odds_could_not_tell_and_fails_no_more_challengers() -> None:
    state, near = (after([guard], 60, {"errors": ones(20, 0, 180, 0)}) for guard in (LENIENT, NEAR))
    without, found = judge([LENIENT], state, 0.05, 0.05), judge([NEAR], near, 0.05, 0.05)
    assert (without.guards[0].pass_e, without.fail_e, found.fail_e) == (1, 1, 1)
    state, near = (after([guard], 5, {"errors": ones(20, 3, 180, 9)}) for guard in (LENIENT, NEAR))
    assert judge([NEAR], near, 0.05, 0.05).fail_e == judge([LENIENT], state, 0.05, 0.05).fail_e


def test_guards_share_alpha() -> None:
    guards: list[Hypothesis] = [ERRORS, BRIER, DRIFT]
    state = new_state(guards)
    while judge(guards, state, 0.05, 0.05).guards[0].fail_e < 60:
        state = after(guards, 1, {"errors": ones(5, 1, 95, 1)}, state)
        report = judge(guards, state, 0.05, 0.05)
        assert report.fail_e == pytest.approx((report.guards[0].fail_e + 2) / 3)  # the others know nothing
        assert (report.verdict == "fail") is (report.guards[0].fail_e + 2 >= 60)
    assert report.guards[0].bound == pytest.approx(60)
    assert [one.verdict for one in report.guards] == ["fail", "undecided", "undecided"]


def test_a_pass_needs_every_guard() -> None:
    guards: list[Hypothesis] = [LENIENT, BRIER]
    state = after(guards, 60, {"errors": ones(500, 5, 500, 5)})
    report = judge(guards, state, 0.05, 0.05)
    assert (report.verdict, report.guards[0].verdict) == ("undecided", "pass")
    state = after(guards, 60, {"brier": Stratum(ArmSums(100, 20, 12), ArmSums(100, 20, 12))}, state)
    assert judge(guards, state, 0.05, 0.05).verdict == "pass"


def test_levels_are_the_bounds() -> None:
    state = after([ERRORS], 5, {"errors": ones(5, 1, 95, 1)})
    e = judge([ERRORS], state, 0.5, 0.5).fail_e
    assert judge([ERRORS], state, 1.001 / e, 0.05).verdict == "fail"
    assert judge([ERRORS], state, 0.999 / e, 0.05).verdict == "undecided"


@pytest.mark.parametrize(("alpha", "beta", "verdict_counts"), [(0, 0.05, "alpha 0:"), (0.05, 1, "beta 1:")])
def test_levels_that_are_none_are_refused(alpha: float, beta: float, verdict_counts: str) -> None:
    with pytest.raises(ValueError, match=verdict_counts):
        judge([ERRORS], new_state([ERRORS]), alpha, beta)


def test_overwhelming_evidence_is_shown_as_a_number() -> None:
    report = verdict([ERRORS], 20, {"errors": ones(1000, 1000, 1000, 0)})
    assert 1e303 < report.fail_e < math.inf
    assert 0 <= report.guards[0].pass_e < 1e-100


ALPHA = 0.2
RELEASES, TICKS = 200, 40
MAX_WRONG = RELEASES * ALPHA + 3 * math.sqrt(RELEASES * ALPHA * (1 - ALPHA))
"""Releases that a probability of alpha explains."""


def tick_of_both(random: np.random.Generator, tick: int, odds_ratio: float, difference: float) -> dict[str, Stratum]:
    """Weight and base rate drift together, which misleads whoever adds up over ticks."""
    swing = 0.5 + 0.5 * math.sin(tick / 8)
    base = 0.05 + 0.25 * swing
    worse = base * odds_ratio / (1 - base + base * odds_ratio)
    n_c, n_s = int(random.binomial(60, 0.1 + 0.4 * swing)), 40
    ours, theirs = (0.6 * random.beta(0.5, 1, n) + 0.2 * swing for n in (n_c, n_s))
    ours += difference
    return {
        "errors": ones(n_c, int(random.binomial(n_c, worse)), n_s, int(random.binomial(n_s, base))),
        "brier": Stratum(
            ArmSums(n_c, float(ours.sum()), float((ours**2).sum())),
            ArmSums(n_s, float(theirs.sum()), float((theirs**2).sum())),
        ),
    }


def verdict_counts(guards: Sequence[Hypothesis], odds_ratio: float, difference: float) -> dict[str, int]:
    """Number of releases called ``fail`` or ``pass`` at any look, and number that each guard alone would call so."""
    random = np.random.default_rng(1)
    counts = Counter[str]()
    for _ in range(RELEASES):
        state = new_state(guards)
        found = set[str]()
        for tick in range(TICKS):
            state = fold(guards, state, tick, tick_of_both(random, tick, odds_ratio, difference))
            report = judge(guards, state, ALPHA, ALPHA)
            found.add(report.verdict)
            found |= {f"{one.name} fail" for one in report.guards if one.fail_e >= 1 / ALPHA}
            found |= {f"{one.name} pass" for one in report.guards if one.pass_e >= 1 / ALPHA}
        counts.update(found)
    return counts


def test_one_that_is_no_worse_fails_with_probability_alpha_at_most() -> None:
    found = verdict_counts([ERRORS, BoundedHypothesis("brier")], odds_ratio=1, difference=0)
    assert found["errors fail"] > 0  # the bound is not kept by never failing anybody
    for name in ("fail", "errors fail", "brier fail", "pass", "errors pass", "brier pass"):
        assert found[name] < MAX_WRONG, name


def test_one_at_the_tolerance_fails_and_passes_with_its_level_at_most() -> None:
    found = verdict_counts([LENIENT, BRIER], odds_ratio=LENIENT.odds_ratio, difference=BRIER.difference)
    assert 0 < found["errors pass"] < MAX_WRONG
    for name in ("fail", "pass", "errors fail", "brier fail", "brier pass"):
        assert found[name] < MAX_WRONG, name


def test_one_that_is_worse_by_the_margin_passes_with_its_level_at_most() -> None:
    random = np.random.default_rng(1)
    passed = 0
    for _ in range(RELEASES):
        state = new_state([NEAR])
        found = False
        for tick in range(TICKS):
            swing = 0.5 + 0.5 * math.sin(tick / 8)
            base = 0.03 + 0.01 * swing  # so that the odds are worse than tolerated, too
            n_c, n_s = int(random.binomial(60, 0.1 + 0.4 * swing)), 40
            bad = int(random.binomial(n_c, base + NEAR.margin)), int(random.binomial(n_s, base))
            state = fold([NEAR], state, tick, {"errors": ones(n_c, bad[0], n_s, bad[1])})
            found = found or judge([NEAR], state, ALPHA, ALPHA).guards[0].pass_e >= 1 / ALPHA
        passed += found
    assert 0 < passed < MAX_WRONG
