"""Hypotheses of guards: one metric against a tolerance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BinaryHypothesis:
    """A 0/1 metric: error, too slow, wrong.

    Attributes:
        name: of the metric.
        odds_ratio: of challenger to champion that is tolerated, 1 or more. Above it is a fail, below it a pass; with
            1 only a challenger that is strictly better passes, so non-inferiority needs more than 1.
        margin: difference of the rates, challenger less champion, below which it is a pass too, whatever the odds:
            where hardly anything is bad in either arm, odds can never be told apart. 0: odds alone count. Inside
            the margin a challenger with too large odds can both pass and, later, fail.
    """

    name: str
    odds_ratio: float = 1.0
    margin: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.odds_ratio < math.inf:
            raise ValueError(f"odds_ratio {self.odds_ratio} of guard {self.name}: 1 or more is accepted")
        if not 0 <= self.margin < 1:
            raise ValueError(f"margin {self.margin} of guard {self.name}: 0 or more, below 1, is accepted")


@dataclass(frozen=True, slots=True)
class BoundedHypothesis:
    """A loss in [0, 1]: a Brier score; the output itself, for drift.

    Attributes:
        name: of the metric.
        difference: of the means, challenger less champion, that is tolerated; 0 or more and below 1.
        two_sided: whether a difference downwards counts as much (drift). It then passes when it is within the
            tolerance on both sides, which therefore must be above 0.
    """

    name: str
    difference: float = 0.0
    two_sided: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.difference < 1:
            raise ValueError(f"difference {self.difference} of guard {self.name}: 0 or more, below 1, is accepted")
        if self.two_sided and self.difference == 0:
            raise ValueError(
                f"difference 0 of guard {self.name}: a two-sided guard could never pass; more than 0 is accepted"
            )


Hypothesis = BinaryHypothesis | BoundedHypothesis


def check_hypotheses(guards: Sequence[Hypothesis]) -> None:
    """Refuses guards that could not be judged.

    Raises:
        ValueError: no guards (everything would pass), or two of one name.
    """
    names = [guard.name for guard in guards]
    if not names:
        raise ValueError("guards: at least one is needed, since without any every challenger would pass")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"guards: {', '.join(twice)} is there twice; names must differ")
