"""Counts of the replayed traffic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.run.tally import Outcome, Rise, Tally, wilson


def outcome(
    key: str, version: str | None, started: float, ended: float, score: float = 0.5, label: int = 0
) -> Outcome:
    return Outcome(key, started, ended, version, score, label, error=None if version else "503: gone")


def tallied(*outcomes: Outcome, rise: Rise | None = None) -> Tally:
    tally = Tally()
    if rise is not None:
        tally.rises.append(rise)
    tally.begin({"1": 0.5, "2": 0.5}, 0.01)
    for found in outcomes:
        tally.add(found, tally.phase, tally.rise)
    return tally


def test_wilson_interval_is_that_of_the_paper() -> None:
    # Wilson 1927; 10 of 100: 0.0552 to 0.1744 (Brown, Cai and DasGupta 2001 give the formula's values).
    share, low, high = wilson(10, 100)
    assert share == 0.1
    assert [low, high] == pytest.approx([0.0552, 0.1744], abs=1e-4)
    assert wilson(0, 0)[1:] == (0.0, 1.0)


@pytest.mark.parametrize(
    ("second", "moved"),
    [
        (outcome("a", "2", 2, 3), 0),  # stays
        (outcome("a", "1", 2, 3), 1),  # sent after the answer of version 2: back
        (outcome("a", "1", 0.5, 3), 0),  # under way at the same time: no order
        (outcome("b", "1", 2, 3), 0),  # another key
        (outcome("a", "1", 2, 9), 0),  # answered after the way back was decided
        (replace(outcome("a", "1", 2, 3), fell_over=("2",)), 0),  # picked for version 2, which did not answer
    ],
)
def test_key_that_returns_to_the_champion_is_counted(second: Outcome, moved: int) -> None:
    first = outcome("a", "1", -1, 0), outcome("a", "2", 0, 1)
    assert tallied(*first, second, rise=Rise("1", "2", until=8)).moved_back == 0  # sent after the rise had an end
    tally = tallied(*first, second, rise=Rise("1", "2"))
    tally.rises[0].until = 8
    assert tally.moved_back == moved


def test_answer_after_the_decision_counts_in_no_share() -> None:
    tally = Tally()
    tally.begin({"1": 1.0, "2": 0.0}, 0.01)
    first = tally.phase
    tally.add(outcome("a", "1", 0, 1), first, None)
    tally.add(outcome("b", "2", 1.5, 3), first, None)  # answered before we heard of the change, but after it
    tally.close(at=2)
    assert tally.phase is None
    tally.add(outcome("c", "2", 1.5, 4), first, None)  # still under way when we heard
    tally.add(outcome("d", "2", 3.5, 4), tally.phase, None)
    assert tally.phases[0].share("1").share == 1.0
    assert tally.phases[0].keys == {"a": "1"}
    assert tally.phases[0].request_share("1") == 1.0
    assert tally.requests == 4


def test_request_counts_for_the_version_that_was_picked() -> None:
    found = replace(outcome("a", "1", 0, 1), fell_over=("2",))
    tally = tallied(found)
    assert tally.phases[0].share("2").share == 1.0
    assert tally.versions["1"].requests == 1
    assert tally.versions["2"].failed_attempts == 1
    assert tally.fell_over == 1


def test_share_of_keys_must_fit_the_weight() -> None:
    tally = Tally()
    tally.begin({"1": 0.9, "2": 0.1}, 0.01)
    for number in range(1000):
        for _ in range(3):
            tally.add(outcome(f"k{number}", "2" if number % 10 == 0 else "1", 0, 1), tally.phase, None)
    assert tally.phases[0].share("2").share == pytest.approx(0.1)
    assert tally.phases[0].as_set()
    tally.phases[0].weights = {"1": 0.8, "2": 0.2}
    assert not tally.phases[0].as_set()


def test_weight_of_all_or_nothing_allows_no_exception() -> None:
    tally = Tally()
    tally.begin({"1": 0.0, "2": 1.0}, 0.01)
    for number in range(1000):
        tally.add(outcome(f"k{number}", "2", 0, 1), tally.phase, None)
    assert tally.phases[0].as_set()
    tally.add(outcome("one", "1", 0, 1), tally.phase, None)
    assert not tally.phases[0].as_set()


def test_quality_is_that_of_the_answered_requests() -> None:
    tally = Tally()
    tally.begin({"1": 1.0}, 0.01)
    for score, label in ((0.1, 0), (0.9, 1), (0.8, 0), (0.7, 1)):
        tally.add(outcome("a", "1", 0, 1, score, label), tally.phase, None)
    tally.add(outcome("a", None, 0, 1), tally.phase, None)
    assert tally.versions["1"].quality().auc == pytest.approx(0.75)
    assert tally.versions["1"].quality().brier == pytest.approx((0.01 + 0.01 + 0.64 + 0.09) / 4)
    assert tally.failures == ["503: gone"]
    assert tally.requests == 5
