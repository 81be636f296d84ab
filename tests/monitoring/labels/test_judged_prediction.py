"""The arm that a prediction counts for, and its value."""

from __future__ import annotations

from typing import Any

import pytest

from app.events import Output
from app.monitoring.labels.judged_prediction import JudgedPrediction, judged_prediction
from app.routing.release_context import ReleaseContext
from tests.events.support import prediction

TRIAL = ReleaseContext("r1", champion="7", challenger="8")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, JudgedPrediction("champion", 0.25, 0.1)),
        ({"version": "8"}, JudgedPrediction("challenger", 0.25, 0.9)),
        ({"outputs": {"late": Output((1, 2), [0.75, 0.25])}}, JudgedPrediction("champion", 0.75, 0.1)),
        ({"outputs": {"late": Output((1,), [True])}}, JudgedPrediction("champion", 1.0, 0.1)),
        ({"outputs": {"late": Output((1,), [0])}}, JudgedPrediction("champion", 0.0, 0.1)),
        ({"weight": 0.95}, JudgedPrediction("champion", 0.25, 0.05)),
        ({"version": "8", "weight": 0.05}, JudgedPrediction("challenger", 0.25, 0.05)),
        ({"version": "9"}, "other_version"),
        ({"version": None, "status": 503, "outputs": {}}, "other_version"),
        ({"pinned": True}, "pinned"),
        ({"version": "8", "pinned": True, "cached": True}, "pinned"),
        ({"version": "9", "pinned": True}, "other_version"),
        ({"cached": True}, "cached"),
        ({"status": 400, "outputs": {}}, "failed"),
        ({"rows": 2, "outputs": {"late": Output((2,), [0.25, 0.5])}}, "several_rows"),
        ({"outputs": {"early": Output((1,), [0.25])}}, "without_value"),
        ({"outputs": {"late": Output((64, 64), None)}}, "without_value"),
        ({"outputs": {"late": Output((0,), [])}}, "without_value"),
        ({"outputs": {"late": Output((1,), ["yes"])}}, "without_value"),
    ],
)
def test_prediction_is_judged_or_left_out_with_a_reason(fields: dict[str, Any], found: Any) -> None:
    assert judged_prediction(prediction(**fields), TRIAL, "late") == found


def test_unanswered_prediction_counts_for_no_arm_without_a_champion() -> None:
    first = ReleaseContext("r1", champion=None, challenger="8")
    assert judged_prediction(prediction(version=None, status=503, outputs={}), first, "late") == "other_version"
    assert judged_prediction(prediction(version="8"), first, "late") == JudgedPrediction("challenger", 0.25, 0.9)
