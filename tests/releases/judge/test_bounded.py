"""Bets on bounded losses: a supermartingale wherever the difference is tolerated, and growing where it is not."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from app.releases.judge import ArmSums, Pairs, Stratum
from app.releases.judge.bounded import BETS, mean_so_far, payoff
from app.releases.judge.mixture import Floats

Losses = dict[float, float]
"""Probability by value."""

COIN: Losses = {0.0: 0.8, 1.0: 0.2}
RARE: Losses = {0.0: 0.99, 1.0: 0.01}
MIDDLE: Losses = {0.1: 0.5, 0.3: 0.5}
WIDE: Losses = {0.0: 0.45, 0.2: 0.15, 1.0: 0.4}


def mean(losses: Losses) -> float:
    return sum(value * chance for value, chance in losses.items())


def sums(values: tuple[float, ...]) -> ArmSums:
    return ArmSums(len(values), sum(values), sum(value**2 for value in values))


def expected(
    n_challenger: int, challenger: Losses, n_champion: int, champion: Losses, centres: tuple[float, float], side: int
) -> Floats:
    """[grid] expectations of a tick's factors, by all outcomes, with the true difference tolerated."""
    bound = mean(challenger) - mean(champion)
    total = np.zeros_like(BETS)
    for ours in product(challenger.items(), repeat=n_challenger):
        for theirs in product(champion.items(), repeat=n_champion):
            chance = np.prod([p for _, p in (*ours, *theirs)])
            stratum = Stratum(sums(tuple(x for x, _ in ours)), sums(tuple(y for y, _ in theirs)))
            total += chance * np.exp(payoff(stratum, *centres).log_factors(side, bound))
    return total


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("centres", [(0.2, 0.2), (0.0, 1.0), (1.0, 0.0), (0.5, 0.5)])
@pytest.mark.parametrize(
    ("n_challenger", "challenger", "n_champion", "champion"),
    [(1, COIN, 6, COIN), (4, WIDE, 2, WIDE), (2, RARE, 3, RARE), (3, MIDDLE, 3, COIN), (1, WIDE, 1, RARE)],
)
def test_a_bet_at_the_tolerance_is_not_worth_more_than_its_stake(
    n_challenger: int,
    challenger: Losses,
    n_champion: int,
    champion: Losses,
    centres: tuple[float, float],
    side: int,
) -> None:
    assert (expected(n_challenger, challenger, n_champion, champion, centres, side) <= 1 + 1e-12).all()


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("centres", [(0.5, 0.5), (0.2, 0.6), (1.0, 0.0)])
def test_pairs_may_depend_on_each_other(centres: tuple[float, float], side: int) -> None:
    opposed = {(0.9, 0.1): 0.5, (0.1, 0.9): 0.5}  # one is right where the other is wrong
    worth = np.zeros_like(BETS)
    for (x, y), chance in opposed.items():
        worth += chance * np.exp(payoff(Pairs(1, x, y, (x - y) ** 2), *centres).log_factors(side, 0.0))
    assert (worth <= 1 + 1e-12).all()


def test_a_difference_of_means_fails_the_challenger() -> None:
    random = np.random.default_rng(1)
    ours, theirs = random.beta(2, 6, 200), random.beta(1.4, 6, 2000)
    stratum = Stratum(sums(tuple(ours.tolist())), sums(tuple(theirs.tolist())))
    assert payoff(stratum, 0.25, 0.2).log_factors(1, 0.0).max() > 3
    assert payoff(stratum, 0.25, 0.2).log_factors(-1, 0.0).max() < 0
    assert payoff(stratum, 0.25, 0.2).log_factors(1, 0.2).max() < 0


def test_a_tick_with_one_request_counts_as_one() -> None:
    lone = payoff(Stratum(ArmSums(1, 1, 1), ArmSums(1000, 200, 60)), 0.2, 0.2).log_factors(1, 0.0)
    many = payoff(Stratum(ArmSums(50, 50, 50), ArmSums(1000, 200, 60)), 0.2, 0.2).log_factors(1, 0.0)
    assert lone.max() < 0.8  # a request that could not be worse, at the boldest bet
    assert many.max() > 10


def test_pairs_weigh_as_much_as_two_arms_of_their_size() -> None:
    pairs = payoff(Pairs(100, 60, 40, 48), 0.5, 0.5)
    arms = payoff(Stratum(ArmSums(100, 60, 60), ArmSums(100, 40, 40)), 0.5, 0.5)
    assert (pairs.gain, pairs.scale) == pytest.approx((arms.gain, arms.scale))


@pytest.mark.parametrize(("squares", "said"), [(0.0, "squares 0.0 of the challenger"), (4.5, "have 1.6 to 4")])
def test_squares_that_no_losses_have_are_refused(squares: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        payoff(Stratum(ArmSums(10, 4, squares), ArmSums(10, 4, 2)), 0.5, 0.5)


def test_a_mean_starts_in_the_middle() -> None:
    assert mean_so_far(0, 0.0) == 0.5
    assert mean_so_far(99, 19.5) == 0.2
