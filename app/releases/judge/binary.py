"""0/1 metrics: a conditional e-process over strata, for a difference in odds.

In a tick the challenger answered n_c requests and the champion n_s, and m of them were bad. Given these, the number
of the challenger's bad ones X follows Fisher's noncentral hypergeometric distribution

    P_ψ(x) = C(n_c, x) C(n_s, m - x) ψ^x / Z(ψ),   Z(ψ) = Σ_y C(n_c, y) C(n_s, m - y) ψ^y,

where ψ is the odds ratio of challenger to champion; the base rate has cancelled. Under H0: ψ ≤ ψ0 the likelihood
ratio

    P_ψ1(x) / P_ψ0(x) = (ψ1 / ψ0)^x Z(ψ0) / Z(ψ1),   ψ1 > ψ0,

has an expectation of at most 1 (of 1 at ψ0, and X is stochastically increasing in ψ), whatever the base rate and
whatever n_c and n_s, which may follow from all that was seen before. So its product over the ticks is a nonnegative
supermartingale, as is the average of such products over a fixed grid of ψ1, and by Ville's inequality the probability
that it ever reaches 1/α is at most α. The mirror, ψ1 < ψ0, is evidence against ψ ≥ ψ0.

It is assumed that, given the past, the requests of a tick fail independently of each other with one probability per
arm, or that requests were given to the arms at random and ψ = 1. Many failures with one cause that sticks to an arm
(a single caller's, where callers are sticky) count as that many, and can make a fail of what is none.

Sources: Ville 1939; Lindon, Sanden and Shirikian, KDD 2022 (rate differences of live traffic); Turner and Grünwald
2023 and ter Schure et al. 2024 (safe tests for stratified 2×2 tables, the safe logrank test).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from app.releases.judge.mixture import Floats, log_prior
from app.releases.judge.strata import Pairs, Stratum, whole

LOG_RATIOS: Floats = np.linspace(math.log(1.05), math.log(1000.0), 32)
"""Grid of log(ψ1 / ψ0): from what only heavy traffic can show to a version that always fails."""


def _bell(centre: float, spread: float) -> Floats:
    return _scaled(np.exp(-0.5 * ((LOG_RATIOS - centre) / spread) ** 2))


def _scaled(weights: Floats) -> Floats:
    scaled: Floats = weights / weights.sum()
    return scaled


# Most of it on two to three times the odds, the smallest harm that asks for an answer within minutes. Larger ones
# need so few bad requests that they can do with less; a little on the small ones, that these are found in the end.
PRIOR: Floats = (
    0.78 * _bell(0.9, 0.2)
    + 0.12 * _bell(1.65, 0.35)
    + 0.07 * _scaled(np.exp(-LOG_RATIOS) * (LOG_RATIOS > 2.5))
    + 0.03 * _scaled((LOG_RATIOS < 0.6).astype(np.float64))
)
"""Weights of the grid, which sum to 1."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The alternatives of one guard.

    Attributes:
        log_psi0: logarithm of the tolerated odds ratio.
        log_psi: [F + P] logarithms of the alternatives, those above ψ0 and then those below.
        above: F.
        log_prior_fail, log_prior_pass: [F] and [P].
    """

    log_psi0: float
    log_psi: Floats
    above: int
    log_prior_fail: Floats
    log_prior_pass: Floats


@lru_cache(maxsize=64)
def grid(odds_ratio: float) -> Grid:
    """The alternatives to a tolerated odds ratio.

    Those below mirror those above. With a tolerance over 1, half of their prior is on ψ = 1: a challenger that is as
    good as the champion is the one that is to pass.
    """
    log_psi0 = math.log(odds_ratio)
    below, prior = log_psi0 - LOG_RATIOS, PRIOR
    if log_psi0 > 0:
        below, prior = np.append(below, 0.0), np.append(0.5 * PRIOR, 0.5)
    above = log_psi0 + LOG_RATIOS
    return Grid(log_psi0, np.concatenate([above, below]), len(above), log_prior(PRIOR), log_prior(prior))


def log_ratios(stratum: Stratum | Pairs, against: Grid) -> Floats:
    """[F + P] logarithms of the likelihood ratios of one tick, of each alternative to ψ0.

    Of mirrored traffic every request is a stratum of its own with n_c = n_s = 1. It says something only if it was
    bad in one arm (McNemar), and is then the challenger's with probability ψ / (1 + ψ).

    Raises:
        ValueError: counts that are not whole.
    """
    if isinstance(stratum, Pairs):
        return pair_log_ratios(*discordant(stratum), against.log_psi, against.log_psi0)
    return table_log_ratios(
        stratum.challenger.n,
        stratum.champion.n,
        whole("total of the challenger", stratum.challenger.total),
        whole("total of the champion", stratum.champion.total),
        against.log_psi,
        against.log_psi0,
    )


def discordant(pairs: Pairs) -> tuple[int, int]:
    """Number of pairs that were bad in the challenger only, and in the champion only.

    Raises:
        ValueError: sums that pairs of 0 and 1 cannot have.
    """
    found = whole("squares", pairs.squares)
    more = whole("challenger", pairs.challenger) - whole("champion", pairs.champion)
    if abs(more) > found or (more + found) % 2:
        raise ValueError(
            f"squares {found} of pairs of a 0/1 metric: with {pairs.challenger:g} bad in the challenger and "
            f"{pairs.champion:g} in the champion, {abs(more)} or an even number more is accepted"
        )
    return (found + more) // 2, (found - more) // 2


def table_log_ratios(
    n_challenger: int, n_champion: int, bad_challenger: int, bad_champion: int, log_psi: Floats, log_psi0: float
) -> Floats:
    """log P_ψ(x) / P_ψ0(x) of one 2×2 table for each ψ; zeros where the margins leave no choice."""
    bad = bad_challenger + bad_champion
    least, most = max(0, bad - n_champion), min(bad, n_challenger)
    if least == most:
        return np.zeros_like(log_psi)
    x = np.arange(least, most, dtype=np.float64)
    steps = np.log((n_challenger - x) * (bad - x) / ((x + 1) * (n_champion - bad + x + 1)))
    log_weights = np.concatenate([[0.0], np.cumsum(steps)])  # of x = least … most, up to a factor that cancels
    log_z = _log_sums(log_weights, steps, np.append(log_psi, log_psi0))
    ratios: Floats = (bad_challenger - least) * (log_psi - log_psi0) - log_z[:-1] + log_z[-1]
    return ratios


def _log_sums(log_weights: Floats, steps: Floats, log_psi: Floats) -> Floats:
    """log Σ_k weight_k ψ^k for each ψ.

    X is a sum of as many independent Bernoulli variables as there are steps (Harkness 1965), so by Hoeffding's
    inequality what lies further than √(20 · steps) from its mean has a probability below 1e-17 and is left out of
    long sums.
    """
    reach = math.ceil(math.sqrt(20 * len(steps))) + 2  # the mode is within 1 of the mean
    width = 2 * reach + 1
    if width >= len(log_weights):
        terms = log_weights + log_psi[:, None] * np.arange(len(log_weights))
    else:
        modes = np.searchsorted(-steps, log_psi)  # the steps fall: weights are log-concave
        first = np.clip(modes - reach, 0, len(log_weights) - width)
        k = first[:, None] + np.arange(width)
        terms = log_weights[k] + log_psi[:, None] * k
    highest = terms.max(axis=1)
    sums: Floats = highest + np.log(np.exp(terms - highest[:, None]).sum(axis=1))
    return sums


def pair_log_ratios(only_challenger: int, only_champion: int, log_psi: Floats, log_psi0: float) -> Floats:
    """The sum of ``table_log_ratios`` over discordant pairs, by their two counts."""
    pairs = only_challenger + only_champion
    ratios: Floats = only_challenger * (log_psi - log_psi0) - pairs * (
        np.logaddexp(0.0, log_psi) - np.logaddexp(0.0, log_psi0)
    )
    return ratios
