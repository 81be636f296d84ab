"""Which arm a prediction counts for, and the value that its label is held against. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.events import Prediction
from app.monitoring.labels.trial import Trial
from app.monitoring.sums import Arm

Why = Literal["other_version", "cached", "failed", "several_rows", "without_value"]
"""Why a prediction is judged by no label: a version outside the trial or none answered it; the answer was another
request's; it was an error; a label cannot say which of its rows it is for; the output is not there, is not a number,
or was too large for the event."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A prediction that its label will judge; ``value`` is what the output said first."""

    arm: Arm
    value: float


def answer_of(prediction: Prediction, trial: Trial, output: str) -> Answer | Why:
    """What the prediction says, or why no label judges it."""
    arm = _arm(prediction.version, trial)
    if arm is None:
        return "other_version"
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
    return Answer(arm, float(value))


def _arm(version: str | None, trial: Trial) -> Arm | None:
    if version == trial.challenger:
        return "challenger"
    return "champion" if version == trial.champion else None
