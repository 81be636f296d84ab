"""E-processes over a grid: their average under a prior is one again, and finds what none of them alone would.

The method of mixtures (Ville 1939; Robbins 1970): each point of the grid is a bet on one alternative; the average
costs at most log(1 / prior) against the best of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST = 700.0
"""Logarithm at which an e-value that is shown is held, so that it stays a finite number."""


def log_average(log_e: Floats, log_prior: Floats) -> Floats:
    """Logarithm of the average under a prior; [..., grid] and [grid] to [...]."""
    terms = log_e + log_prior
    highest = terms.max(axis=-1)
    averaged: Floats = highest + np.log(np.exp(terms - highest[..., None]).sum(axis=-1))
    return averaged


def log_mean(log_e: Sequence[float]) -> float:
    """Logarithm of the plain mean of a few e-values."""
    highest = max(log_e)
    return highest + math.log(sum(math.exp(one - highest) for one in log_e) / len(log_e))


def log_prior(weights: Floats) -> Floats:
    """Logarithms of weights scaled to sum to 1."""
    logs: Floats = np.log(weights / weights.sum())
    return logs


def value(log_e: float) -> float:
    """The e-value itself, at most 1e304."""
    return math.exp(min(log_e, LARGEST))
