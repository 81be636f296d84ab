"""The loss of an answer whose label is known. Pure."""

from __future__ import annotations

import math

from app.monitoring.labels.joined_release import QualityLoss


def loss_of(quality: QualityLoss, value: float, label: float) -> float:
    """The loss, 0 to 1.

    ``error``: 1 where the value and the label (from 0.5) lie on different sides of the threshold; ``brier``: the
    squared difference (Brier 1950). A value that is no number counts as wrong as can be, and so does one so far
    outside 0 to 1 that the square exceeds 1: no version escapes its judge by answers that are no probabilities.
    """
    if math.isnan(value):
        return 1.0
    if quality.loss == "error":
        return float((value >= quality.threshold) != (label >= 0.5))
    difference = min(abs(value - label), 1.0)  # before the square, which of a huge value is no number
    return difference * difference
