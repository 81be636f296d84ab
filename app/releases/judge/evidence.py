"""The evidence of one guard: its e-processes, folded tick by tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.releases.judge import binary, bounded
from app.releases.judge.hypotheses import BinaryHypothesis, BoundedHypothesis, Hypothesis
from app.releases.judge.mixture import Floats, log_average, log_mean
from app.releases.judge.strata import ArmSums, Pairs, Stratum

Logs = tuple[tuple[float, ...], ...]
"""[sides][grid] logarithms of e-processes."""
RARE = 0.01
"""First guess of the rate of a 0/1 metric."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One guard after some ticks. Only folding in order makes it: two of them cannot be merged.

    Attributes:
        log_fail: per side and point of the grid, against "no worse than tolerated"; a two-sided guard has two sides,
            upwards and downwards.
        log_pass: the same against "at least as bad as tolerated".
        log_near: of a 0/1 guard with a margin, per bet, against "at least the margin above the champion"; else empty.
        now: logarithm of the e-value for a fail.
        peak: the largest one so far.
        n_challenger, total_challenger, n_champion, total_champion: requests that were compared, and their losses.
    """

    log_fail: Logs
    log_pass: Logs
    log_near: tuple[float, ...] = ()
    now: float = 0.0
    peak: float = 0.0
    n_challenger: int = 0
    total_challenger: float = 0.0
    n_champion: int = 0
    total_champion: float = 0.0


def nothing(guard: Hypothesis) -> Evidence:
    """Before the first tick: every e-value is 1."""
    if isinstance(guard, BinaryHypothesis):
        grid = binary.grid(guard.odds_ratio)
        near = _zeros(bounded.BETS) if guard.margin else ()
        return Evidence((_zeros(grid.log_prior_fail),), (_zeros(grid.log_prior_pass),), near)
    side = (_zeros(bounded.BETS),) * (2 if guard.two_sided else 1)
    return Evidence(side, side)


def folded(guard: Hypothesis, evidence: Evidence, stratum: Stratum | Pairs) -> Evidence:
    """With one more tick; the same when an arm has no requests in it.

    Raises:
        ValueError: sums that this guard's metric cannot have.
    """
    if stratum.empty:
        return evidence
    near = evidence.log_near
    if isinstance(guard, BinaryHypothesis):
        fails, passes = _binary(guard, stratum)
        if guard.margin:
            (near,) = _added((near,), [_near(guard, evidence, stratum)])
    else:
        fails, passes = _bounded(guard, evidence, stratum)
    if isinstance(stratum, Pairs):
        added = (stratum.n, stratum.challenger, stratum.n, stratum.champion)
    else:
        challenger, champion = stratum.challenger, stratum.champion
        added = (challenger.n, challenger.total, champion.n, champion.total)
    log_fail = _added(evidence.log_fail, fails)
    now = _fail(guard, log_fail)
    return Evidence(
        log_fail,
        _added(evidence.log_pass, passes),
        near,
        now,
        max(evidence.peak, now),
        evidence.n_challenger + added[0],
        evidence.total_challenger + added[1],
        evidence.n_champion + added[2],
        evidence.total_champion + added[3],
    )


def _fail(guard: Hypothesis, log_fail: Logs) -> float:
    """Logarithm of the e-value for a fail: the average over grid and sides."""
    prior = binary.grid(guard.odds_ratio).log_prior_fail if isinstance(guard, BinaryHypothesis) else bounded.LOG_PRIOR
    return log_mean(log_average(np.array(log_fail), prior).tolist())


def passes(guard: Hypothesis, evidence: Evidence) -> float:
    """Logarithm of the e-value for a pass: the average over the grid, of the less convinced side.

    With a margin, what must not pass is worse by the odds *and* by the margin. Both e-processes are valid there, and
    so is their mean.
    """
    prior = binary.grid(guard.odds_ratio).log_prior_pass if isinstance(guard, BinaryHypothesis) else bounded.LOG_PRIOR
    log_pass = float(log_average(np.array(evidence.log_pass), prior).min())
    if not evidence.log_near:
        return log_pass
    return log_mean([log_pass, float(log_average(np.array(evidence.log_near), bounded.LOG_PRIOR))])


def _binary(guard: BinaryHypothesis, stratum: Stratum | Pairs) -> tuple[list[Floats], list[Floats]]:
    grid = binary.grid(guard.odds_ratio)
    ratios = binary.log_ratios(stratum, grid)
    return [ratios[: grid.above]], [ratios[grid.above :]]


def _near(guard: BinaryHypothesis, evidence: Evidence, stratum: Stratum | Pairs) -> Floats:
    if isinstance(stratum, Stratum):  # of 0 and 1 the squares are the losses themselves
        stratum = Stratum(_of_zeros_and_ones(stratum.challenger), _of_zeros_and_ones(stratum.champion))
    return bounded.payoff(
        stratum,
        bounded.mean_so_far(evidence.n_challenger, evidence.total_challenger, RARE),
        bounded.mean_so_far(evidence.n_champion, evidence.total_champion, RARE),
    ).log_factors(-1, guard.margin)


def _of_zeros_and_ones(sums: ArmSums) -> ArmSums:
    return ArmSums(sums.n, sums.total, sums.total)


def _bounded(
    guard: BoundedHypothesis, evidence: Evidence, stratum: Stratum | Pairs
) -> tuple[list[Floats], list[Floats]]:
    paid = bounded.payoff(
        stratum,
        bounded.mean_so_far(evidence.n_challenger, evidence.total_challenger),
        bounded.mean_so_far(evidence.n_champion, evidence.total_champion),
    )
    sides = (1, -1) if guard.two_sided else (1,)
    return (
        [paid.log_factors(side, side * guard.difference) for side in sides],
        [paid.log_factors(-side, side * guard.difference) for side in sides],
    )


def _added(logs: Logs, more: Sequence[Floats]) -> Logs:
    return tuple(tuple((np.array(old) + new).tolist()) for old, new in zip(logs, more, strict=True))


def _zeros(grid: Floats) -> tuple[float, ...]:
    return (0.0,) * len(grid)
