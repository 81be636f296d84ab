"""The arm and the weight that a prediction counts for, and the value that its label is compared with. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.events.prediction import Prediction
from app.monitoring.labels.joined_release import JoinedRelease
from app.monitoring.sums import Arm

UnjudgedReason = Literal["other_version", "pinned", "cached", "failed", "several_rows", "without_value"]
"""Why no label judges a prediction: a version outside the release or none answered it; the caller chose the
version, and who does so is no sample of all; the answer was another request's; it was an error; a label cannot say
which of its rows it is for; the output is not there, is not a number, or was too large for the event."""


@dataclass(frozen=True, slots=True)
class JudgedPrediction:
    """A prediction that its label will judge.

    Attributes:
        value: what the output said first.
        weight: the challenger's when it was picked, 0 to 1: predictions of other weights are not compared with it.
    """

    arm: Arm
    value: float
    weight: float


def judged_prediction(
    prediction: Prediction, release: JoinedRelease, output: str
) -> JudgedPrediction | UnjudgedReason:
    """Returns the prediction as it is judged, or the reason why no label judges it."""
    arm = _arm(prediction.version, release)
    if arm is None:
        return "other_version"
    if prediction.pinned:
        return "pinned"
    if prediction.cached:
        return "cached"
    if prediction.status != 200:
        return "failed"
    if prediction.rows != 1:
        return "several_rows"
    held = prediction.outputs.get(output)
    value = held.values[0] if held is not None and held.values else None
    if not isinstance(value, bool | int | float):
        return "without_value"
    weight = prediction.weight if arm == "challenger" else 1 - prediction.weight
    return JudgedPrediction(arm, float(value), round(weight, 6))  # 1 - 0.95 is 0.05 too


def _arm(version: str | None, release: JoinedRelease) -> Arm | None:
    if version is None or version not in (release.challenger, release.champion):
        return None
    return "challenger" if version == release.challenger else "champion"
