"""ArmSums of a tick: they add up, and what no losses have is refused."""

from __future__ import annotations

import math

import pytest

from app.releases.judge import ArmSums, Pairs, Stratum
from app.releases.judge.strata import whole


def test_sums_of_replicas_add_up() -> None:
    one = Stratum(ArmSums(5, 1, 1), ArmSums(95, 2, 2))
    other = Stratum(ArmSums(2, 0, 0), ArmSums(40, 1.5, 1.25))
    assert one + other == Stratum(ArmSums(7, 1, 1), ArmSums(135, 3.5, 3.25))
    assert Pairs(3, 1, 2, 1) + Pairs(4, 0, 1, 1) == Pairs(7, 1, 3, 2)


@pytest.mark.parametrize(
    ("n", "total", "squares", "said"),
    [
        (-1, 0, 0, "n -1: 0 or more"),
        (3, 3.1, 0, "total 3.1 of 3 requests: 0 to 3"),
        (3, -0.5, 0, "total -0.5"),
        (3, math.nan, 0, "total nan"),
        (3, 1, 4, "squares 4 of 3 requests"),
        (0, 1, 0, "total 1 of 0 requests"),
    ],
)
def test_sums_that_no_losses_have_are_refused(n: int, total: float, squares: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ArmSums(n, total, squares)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ((-1, 0, 0, 0), "n -1"),
        ((3, 4, 0, 1), "challenger 4 of 3 pairs"),
        ((3, 0, math.inf, 1), "champion inf"),
        ((3, 0, 1, 3.5), "squares 3.5"),
        ((4, 4, 0, 3), "squares 3: 4 differences that add up to 4 have 4"),
    ],
)
def test_pairs_that_no_losses_have_are_refused(pairs: tuple[int, float, float, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Pairs(*pairs)


def test_an_arm_without_requests_makes_it_empty() -> None:
    assert Stratum(ArmSums(0, 0), ArmSums(9, 1)).empty
    assert Stratum(ArmSums(9, 1), ArmSums(0, 0)).empty
    assert Pairs(0, 0, 0, 0).empty
    assert not Stratum(ArmSums(1, 0), ArmSums(1, 0)).empty


def test_counts_are_whole() -> None:
    assert whole("total", 3.0000000001) == 3
    with pytest.raises(ValueError, match=r"total 2\.5: a 0/1 metric"):
        whole("total", 2.5)
