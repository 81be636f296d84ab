"""The judge's promises, held against the simulation. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom  # type: ignore[import-untyped]

from app.releases.judge.mixture import Floats
from tests.releases.judge.simulation.methods import ALPHA, JUDGE
from tests.releases.judge.simulation.samples import Scenario

CHANCE = 0.001
"""Probability that a promise which just holds is called broken."""
WEIGHT = 0.05
PROMISED_S: Mapping[float, float] = {0.02: 141, 0.03: 52, 0.05: 20, 0.20: 3, 1.00: 1}
"""Median time to ``fail`` by the challenger's error rate, at 5 % weight: that of a reference run of the method, to
the end of the second that decides."""

SAFE = tuple(
    Scenario(weights, drifts)
    for drifts in (False, True)
    for weights in ((0.01,), (0.05,), (0.5,), (0.01, 0.05, 0.2, 0.5))
)
HARMFUL = tuple(Scenario((WEIGHT,), errors=errors) for errors in PROMISED_S)


@dataclass(frozen=True, slots=True)
class Cell:
    """A scenario and when each method took its releases back.

    Attributes:
        seconds: by method, [releases] in seconds; infinity where it never did.
    """

    scenario: Scenario
    seconds: Mapping[str, Floats]

    @property
    def releases(self) -> int:
        """Number of releases."""
        return len(self.seconds[JUDGE])

    def taken_back(self, method: str) -> int:
        """Number of releases that were rolled back."""
        return int(np.isfinite(self.seconds[method]).sum())

    def median_s(self, method: str) -> float:
        """Median over all releases, infinity if fewer than half were."""
        return float(np.sort(self.seconds[method])[(self.releases - 1) // 2])

    @property
    def most(self) -> int:
        """False rollbacks that a probability of alpha explains."""
        return int(binom.ppf(1 - CHANCE, self.releases, ALPHA))

    @property
    def least_median_s(self) -> float:
        """Lower confidence bound of the judge's median: the order statistic that is above it by chance only."""
        place = int(binom.ppf(CHANCE, self.releases, 0.5))
        return float(np.sort(self.seconds[JUDGE])[max(place - 1, 0)])

    @property
    def broken(self) -> str | None:
        """Sentence that says why the promise is broken; None where it holds."""
        scenario = self.scenario
        if scenario.errors is None:
            count = self.taken_back(JUDGE)
            if count <= self.most:
                return None
            return (
                f"{count} of {self.releases} releases that are no worse were rolled back at weight "
                f"{scenario.weight_text}, base rate {scenario.base_text}; "
                f"a probability of {ALPHA:g} explains {self.most}"
            )
        promised = PROMISED_S[scenario.errors]
        if self.least_median_s <= promised:
            return None
        return (
            f"{100 * scenario.errors:g} % errors take {_seconds(self.median_s(JUDGE))} (median, at least "
            f"{_seconds(self.least_median_s)}) to be found; {promised:g} s are promised"
        )


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if math.isfinite(value) else "longer than the simulation"
