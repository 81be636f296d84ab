"""The verdict on a challenger, as of the ticks that were folded.

The guarantee, for all the looks of a release together: a challenger that is no worse than each guard tolerates is
called ``fail`` with probability at most alpha, and one that is worse than some guard tolerates is called ``pass``
with probability at most beta, whatever the weights and however the base rates drift. Little or no traffic is
``undecided``.

- ``fail``: the mean of the guards' e-values has reached 1/alpha. The mean of e-processes is one, however they depend
  on each other, and Ville's inequality is about its largest value, so a fail is final: more ticks do not take it
  back.
- ``pass``: every guard's e-value for a pass is at 1/beta or above now. One guard that is violated passes
  with probability at most beta, so no more is lost by asking all of them; one with a margin is violated by odds above
  the tolerance and a difference above the margin. A pass is not final: it is not a reason to
  overlook what comes later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.releases.judge.evidence import Evidence, passes
from app.releases.judge.hypotheses import Hypothesis
from app.releases.judge.mixture import value
from app.releases.judge.state import JudgeState, check_made_for

Verdict = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """One guard's part.

    Attributes:
        name: of the guard.
        verdict: ``fail`` when it alone makes the whole fail; several guards can do so together, too, and then the one
            with the largest ``fail_e`` has most to say.
        fail_e: the largest e-value for a fail so far; at most 1e304.
        pass_e: the e-value for a pass now; at most 1e304.
        bound: of ``fail_e``, number of guards / alpha.
        n_challenger, n_champion: requests that were compared.
        rate_challenger, rate_champion: their mean losses; None without requests.
    """

    name: str
    verdict: Verdict
    fail_e: float
    pass_e: float
    bound: float
    n_challenger: int
    n_champion: int
    rate_challenger: float | None
    rate_champion: float | None


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """The verdict and what it rests on.

    Attributes:
        fail_e: the largest mean of the guards' e-values for a fail so far.
        fail_bound, pass_bound: 1/alpha for ``fail_e``, 1/beta for every guard's ``pass_e``.
        tick: the last one that was folded; None before the first.
        guards: in their order.
    """

    verdict: Verdict
    fail_e: float
    fail_bound: float
    pass_bound: float
    tick: int | None
    guards: tuple[GuardVerdict, ...]


def judge(guards: Sequence[Hypothesis], state: JudgeState, alpha: float, beta: float) -> JudgeReport:
    """The verdict now.

    Args:
        alpha: probability of a fail that is tolerated for a challenger that is no worse, over the whole release.
        beta: probability of a pass that is tolerated for one that is worse. Both must be fixed before the release.

    Raises:
        ValueError: a level outside (0, 1), or guards that the state was not made for.
    """
    for name, level in (("alpha", alpha), ("beta", beta)):
        if not 0 < level < 1:
            raise ValueError(f"{name} {level}: above 0 and below 1 is accepted")
    check_made_for(guards, state)
    found = tuple(
        _one(guard, known, len(guards) / alpha, 1 / beta) for guard, known in zip(guards, state.evidence, strict=True)
    )
    verdict: Verdict = "undecided"
    if state.peak >= -math.log(alpha):
        verdict = "fail"
    elif all(one.verdict == "pass" for one in found):
        verdict = "pass"
    return JudgeReport(verdict, value(state.peak), 1 / alpha, 1 / beta, state.tick, found)


def _one(guard: Hypothesis, known: Evidence, fail_bound: float, pass_bound: float) -> GuardVerdict:
    log_pass = passes(guard, known)
    verdict: Verdict = "undecided"
    if known.peak >= math.log(fail_bound):
        verdict = "fail"
    elif log_pass >= math.log(pass_bound):
        verdict = "pass"
    return GuardVerdict(
        guard.name,
        verdict,
        value(known.peak),
        value(log_pass),
        fail_bound,
        known.n_challenger,
        known.n_champion,
        known.total_challenger / known.n_challenger if known.n_challenger else None,
        known.total_champion / known.n_champion if known.n_champion else None,
    )
