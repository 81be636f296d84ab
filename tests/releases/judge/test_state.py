"""The judge's document: folded once a tick, in order, and the same after a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.releases.judge import (
    ArmSums,
    BinaryHypothesis,
    BoundedHypothesis,
    Hypothesis,
    JudgeState,
    OldTickError,
    Pairs,
    Stratum,
    as_json,
    fold,
    from_json,
    judge,
    new_state,
)

GUARDS: tuple[Hypothesis, ...] = (
    BinaryHypothesis("errors"),
    BinaryHypothesis("slow", odds_ratio=1.5, margin=0.01),
    BoundedHypothesis("brier", difference=0.01),
    BoundedHypothesis("drift", difference=0.02, two_sided=True),
)
ERRORS = Stratum(ArmSums(6, 1), ArmSums(90, 2))
BRIER = Stratum(ArmSums(6, 1.1, 0.7), ArmSums(90, 17.3, 9.1))
STRATA: dict[str, Stratum | Pairs] = {
    "errors": ERRORS,
    "slow": Pairs(20, 3, 2, 1),
    "brier": BRIER,
    "drift": Pairs(20, 7.5, 6.25, 0.3),
}


def after(ticks: int) -> JudgeState:
    state = new_state(GUARDS)
    for tick in range(ticks):
        state = fold(GUARDS, state, tick, STRATA)
    return state


def test_a_document_gives_the_same_state_to_the_last_bit() -> None:
    state = after(3)
    loaded = from_json(json.loads(json.dumps(as_json(state), allow_nan=False)))
    assert loaded == state
    onward = [fold(GUARDS, each, 7, STRATA) for each in (state, loaded)]
    assert onward[0] == onward[1]
    assert judge(GUARDS, onward[0], 0.05, 0.05) == judge(GUARDS, onward[1], 0.05, 0.05)
    assert from_json(as_json(new_state(GUARDS))) == new_state(GUARDS)


def test_a_tick_may_have_several_strata() -> None:
    late: list[Stratum | Pairs] = [
        Stratum(ArmSums(4, 2), ArmSums(40, 3)),
        Pairs(9, 1, 0, 1),
        Stratum(ArmSums(30, 1), ArmSums(30, 2)),
        Pairs(0, 0, 0, 0),
    ]
    state = after(1)
    for tick, stratum in enumerate(late, start=1):
        state = fold(GUARDS, state, tick, {"slow": stratum})
    assert fold(GUARDS, after(1), 4, {"slow": late}).evidence == state.evidence
    assert fold(GUARDS, after(1), 4, {"slow": []}).evidence == after(1).evidence


@pytest.mark.parametrize("tick", [2, 1, -5])
def test_a_tick_that_is_not_later_is_refused(tick: int) -> None:
    with pytest.raises(OldTickError, match=f"tick {tick}: the last one that was folded is 2"):
        fold(GUARDS, after(3), tick, STRATA)


def test_ticks_may_leave_gaps() -> None:
    assert fold(GUARDS, after(3), 900, STRATA).tick == 900


def test_ticks_of_replicas_are_added_first() -> None:
    parts = (
        Stratum(ArmSums(1, 1), ArmSums(30, 0)),
        Stratum(ArmSums(5, 0), ArmSums(0, 0)),
        Stratum(ArmSums(0, 0), ArmSums(60, 2)),
    )
    split = parts[0] + parts[1] + parts[2]
    assert fold(GUARDS, after(1), 1, {"errors": split}) == fold(GUARDS, after(1), 1, {"errors": ERRORS})


@pytest.mark.parametrize(
    "strata",
    [
        {},
        {guard.name: Stratum(ArmSums(0, 0), ArmSums(90, 30, 30)) for guard in GUARDS},
        {guard.name: Stratum(ArmSums(90, 30, 30), ArmSums(0, 0)) for guard in GUARDS},
        {guard.name: Pairs(0, 0, 0, 0) for guard in GUARDS},
    ],
    ids=["none", "no challenger", "no champion", "no pairs"],
)
def test_a_tick_without_both_arms_changes_nothing(strata: dict[str, Stratum | Pairs]) -> None:
    state = after(2)
    found = fold(GUARDS, state, 2, strata)
    assert (found.evidence, found.peak, found.tick) == (state.evidence, state.peak, 2)


def test_requests_are_counted() -> None:
    errors, slow, *_ = after(3).evidence
    assert (errors.n_challenger, errors.total_challenger, errors.n_champion, errors.total_champion) == (18, 3, 270, 6)
    assert (slow.n_challenger, slow.total_challenger, slow.n_champion, slow.total_champion) == (60, 9, 60, 6)


@pytest.mark.parametrize(
    "guards",
    [GUARDS[:3], (BinaryHypothesis("errors", 1.1), *GUARDS[1:]), (GUARDS[1], GUARDS[0], *GUARDS[2:])],
    ids=["fewer", "another tolerance", "another order"],
)
def test_other_guards_are_refused(guards: tuple[Hypothesis, ...]) -> None:
    for ask in (lambda: fold(guards, after(1), 1, {}), lambda: judge(guards, after(1), 0.05, 0.05)):
        with pytest.raises(ValueError, match="the state was made for"):
            ask()


def test_strata_of_an_unknown_guard_are_refused() -> None:
    with pytest.raises(ValueError, match="strata cost: the guards are errors, slow, brier, drift"):
        fold(GUARDS, after(1), 1, {"cost": ERRORS})


@pytest.mark.parametrize(
    ("guards", "said"),
    [
        ((), "at least one is needed"),
        ((BinaryHypothesis("errors"), BoundedHypothesis("errors")), "errors is there twice"),
    ],
)
def test_guards_that_cannot_be_judged_are_refused(guards: tuple[Hypothesis, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        new_state(guards)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 1}, "format 1 of the judge's state: 2 is accepted"),
        ({"guards": None}, "the judge's state: TypeError"),
        ({"guards": [{"kind": "ranked"}]}, "the judge's state: KeyError 'ranked'"),
        ({"guards": []}, "at least one is needed"),
    ],
)
def test_documents_of_something_else_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_json({**as_json(after(1)), **change})


def test_evidence_that_lacks_something_is_refused() -> None:
    document = json.loads(json.dumps(as_json(after(1))))
    del document["guards"][0]["evidence"]["peak"]
    with pytest.raises(ValueError, match="the judge's state: KeyError 'peak'"):
        from_json(document)


def test_evidence_on_another_grid_is_refused() -> None:
    document = json.loads(json.dumps(as_json(after(1))))
    document["guards"][3]["evidence"]["log_pass"][1].pop()
    with pytest.raises(ValueError, match=r"log_pass of guard drift: \[14, 13\]; \[14, 14\] is accepted"):
        from_json(document)
    document = json.loads(json.dumps(as_json(after(1))))
    document["guards"][1]["evidence"]["log_near"].pop()
    with pytest.raises(ValueError, match=r"log_near of guard slow: 13; 14 is accepted"):
        from_json(document)


def test_fields_of_a_newer_version_of_the_state_are_kept() -> None:
    guards = (BinaryHypothesis("errors", 1.5),)
    document = as_json(new_state(guards)) | {"schema": 2, "method": {"grid": 7}}
    state = fold(guards, from_json(document), 1, {})
    written = as_json(state)
    assert (written["tick"], written["schema"], written["method"]) == (1, 2, {"grid": 7})


def test_a_state_without_unknown_fields_is_written_without_them() -> None:
    assert set(as_json(new_state((BinaryHypothesis("errors"),)))) == {"format", "tick", "peak", "guards"}
