"""Releases that are made up: requests and bad ones of both arms, second by second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
"""[seconds, releases]."""

REQUESTS_PER_S = 100
SECONDS = 1800
ERRORS = 0.01
"""Rate of the champion where it is steady."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Requests of many releases, all of them for the same number of seconds."""

    n_challenger: Counts
    n_champion: Counts
    bad_challenger: Counts
    bad_champion: Counts


@dataclass(frozen=True, slots=True)
class Scenario:
    """Traffic and truth of a release.

    Attributes:
        weights: of the challenger, for equal parts of the release one after the other.
        drifts: whether the champion's error rate swings between 0.5 % and 3 % once, or stays at 1 %.
        errors: rate of the challenger; None for one that is no worse.
    """

    weights: tuple[float, ...]
    drifts: bool = False
    errors: float | None = None

    @property
    def weight_text(self) -> str:
        """The weights as text, in percent."""
        return ", ".join(f"{100 * weight:g}" for weight in self.weights) + " %"

    @property
    def base_text(self) -> str:
        """The champion's error rate as text."""
        return "0.5 to 3 %" if self.drifts else f"{100 * ERRORS:g} %"


def draw(scenario: Scenario, releases: int, random: np.random.Generator, seconds: int = SECONDS) -> Samples:
    """Each of 100 requests a second goes to the challenger with its weight and fails with its arm's rate."""
    time = np.arange(seconds) / seconds
    weights = np.array(scenario.weights)[(time * len(scenario.weights)).astype(int)][:, None]
    base = np.full(seconds, ERRORS)
    if scenario.drifts:
        base = 0.0175 + 0.0125 * np.sin(2 * np.pi * time)
    rate = base[:, None] if scenario.errors is None else scenario.errors
    shape = (seconds, releases)
    n_challenger = random.binomial(REQUESTS_PER_S, weights, shape)
    n_champion = REQUESTS_PER_S - n_challenger
    return Samples(
        n_challenger, n_champion, random.binomial(n_challenger, rate), random.binomial(n_champion, base[:, None])
    )
