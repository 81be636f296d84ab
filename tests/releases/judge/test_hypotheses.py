"""Tolerances that make no sense are refused by name."""

from __future__ import annotations

import math

import pytest

from app.releases.judge import BinaryHypothesis, BoundedHypothesis


@pytest.mark.parametrize("odds_ratio", [0.9, 0.0, math.inf, math.nan])
def test_a_tolerated_odds_ratio_is_one_or_more(odds_ratio: float) -> None:
    with pytest.raises(ValueError, match=rf"odds_ratio {odds_ratio} of guard errors: 1 or more"):
        BinaryHypothesis("errors", odds_ratio)


@pytest.mark.parametrize("margin", [-0.1, 1.0, math.nan])
def test_a_margin_is_below_one(margin: float) -> None:
    with pytest.raises(ValueError, match=rf"margin {margin} of guard errors: 0 or more, below 1"):
        BinaryHypothesis("errors", 1.5, margin)


@pytest.mark.parametrize("difference", [-0.1, 1.0, math.nan])
def test_a_tolerated_difference_is_below_one(difference: float) -> None:
    with pytest.raises(ValueError, match=rf"difference {difference} of guard brier: 0 or more, below 1"):
        BoundedHypothesis("brier", difference)


def test_a_two_sided_guard_tolerates_something() -> None:
    with pytest.raises(ValueError, match="guard drift: a two-sided guard could never pass"):
        BoundedHypothesis("drift", two_sided=True)
