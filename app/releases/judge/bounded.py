"""Losses in [0, 1]: betting on the difference of means, from sums per tick.

A bet of κ in (0, 1) on every request: with n = n_c + n_s requests in a tick, h = n_c n_s / n, d the difference of
the arms' means and b the tolerance, the wealth of the bet that d is above b is multiplied by

    exp(κ h (d - b) - φ(κ n_s / n) V_c - φ(κ n_c / n) V_s),   φ(λ) = -log(1 - λ) - λ,
    V_c = Σ_i (x_i - x̂)²,   V_s = Σ_j (y_j - ŷ)²,

where x̂ and ŷ are the arms' means over *earlier* ticks. Since exp(λξ - φ(λ)ξ²) ≤ 1 + λξ for ξ ≥ -1 and 0 ≤ λ < 1
(Fan, Grama and Liu 2015), each request's factor exp(λ(x - E x) - φ(λ)(x - x̂)²) has an expectation of at most 1, and
so has the product under H0: E[d | past] ≤ b. All of it follows from n, the total and the squares of each arm. The
wealths of a fixed grid of κ are averaged, as in ``binary``, which stands in for a predictable κ; Ville's inequality
holds for the average.

The bet grows with h, the number of requests that a difference of means is worth, so a tick with one request in an arm
counts as one request, and merging ticks is not needed. One bet of 1 + λ(d - b) on each tick's d would be held to λ <
1 whatever the number of requests behind d, and take two to ten times as long at 5 to 50 % weight.

Mirrored traffic has differences z of paired losses in [-1, 1], which need not be independent within a pair. Their
factor is

    exp(κ (Σ z - n b) / 2 - φ(κ) Σ (z - ẑ)² / 4),   ẑ = x̂ - ŷ.

It is assumed that, given the past, the requests of a tick (or its pairs) are independent of each other.

Sources: Waudby-Smith and Ramdas 2024 (betting, the predictable empirical Bernstein process); Shekhar and Ramdas 2023
(two samples); Ville 1939.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.releases.judge.mixture import Floats, log_prior
from app.releases.judge.strata import ROUNDING, ArmSums, Pairs, Stratum

BETS: Floats = np.geomspace(0.005, 0.9, 14)
"""Grid of κ. The best one is about the difference over the variance of a loss."""
LOG_PRIOR: Floats = log_prior(np.ones_like(BETS))


@dataclass(frozen=True, slots=True)
class Payoff:
    """The payoff of a tick, apart from the bound and the side that is bet on.

    Attributes:
        gain: h d, or half the sum of the differences.
        scale: h, or half the number of pairs.
        cost: [grid] the price of the variance.
    """

    gain: float
    scale: float
    cost: Floats

    def log_factors(self, side: int, bound: float) -> Floats:
        """[grid] logarithms of the factors of the bets that d is above (side 1) or below (-1) ``bound``."""
        factors: Floats = BETS * (side * (self.gain - bound * self.scale)) - self.cost
        return factors


def payoff(stratum: Stratum | Pairs, challenger_mean: float, champion_mean: float) -> Payoff:
    """One tick's; the means are those of earlier ticks.

    Raises:
        ValueError: squares that losses in [0, 1] with this total cannot have.
    """
    if isinstance(stratum, Pairs):
        difference, centre = stratum.challenger - stratum.champion, challenger_mean - champion_mean
        spread = _spread(stratum.n, difference, stratum.squares, centre)
        return Payoff(difference / 2, stratum.n / 2, _phi(BETS) * spread / 4)
    challenger, champion = stratum.challenger, stratum.champion
    _check("challenger", challenger)
    _check("champion", champion)
    n = challenger.n + champion.n
    worth = challenger.n * champion.n / n
    cost = _phi(BETS * (champion.n / n)) * _spread(
        challenger.n, challenger.total, challenger.squares, challenger_mean
    )
    cost += _phi(BETS * (challenger.n / n)) * _spread(champion.n, champion.total, champion.squares, champion_mean)
    return Payoff(worth * (challenger.total / challenger.n - champion.total / champion.n), worth, cost)


def mean_so_far(n: int, total: float, first: float = 0.5) -> float:
    """An arm's mean over earlier ticks, from one loss of ``first`` on: any guess is valid, a good one is cheap."""
    return (total + first) / (n + 1)


def _phi(bets: Floats) -> Floats:
    cost: Floats = -np.log1p(-bets) - bets
    return cost


def _spread(n: int, total: float, squares: float, centre: float) -> float:
    """Σ (x - centre)²; never below 0 by rounding."""
    return max(0.0, squares - 2 * centre * total + n * centre**2)


def _check(arm: str, sums: ArmSums) -> None:
    # More than rounding below would make the variance, and with it the price of a bet, too small.
    least = sums.total**2 / sums.n
    if not least - ROUNDING * sums.n <= sums.squares <= sums.total + ROUNDING * sums.n:
        raise ValueError(
            f"squares {sums.squares} of the {arm}: {sums.n} losses in [0, 1] with the total {sums.total} have "
            f"{least:g} to {sums.total:g}"
        )
