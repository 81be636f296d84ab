"""The loss of an answer."""

from __future__ import annotations

import math
from typing import Literal

import pytest

from app.monitoring.labels.loss import loss_of
from app.routing.release_context import OutputLoss


@pytest.mark.parametrize(
    ("loss", "value", "label", "costs"),
    [
        ("error", 0.3, 1.0, 0.0),  # at the threshold is above it
        ("error", 0.29, 1.0, 1.0),
        ("error", 0.3, 0.0, 1.0),
        ("error", 0.3, 0.5, 0.0),
        ("error", 0.3, 0.49, 1.0),
        ("error", -4.0, 0.0, 0.0),
        ("error", math.nan, 0.0, 1.0),
        ("error", math.inf, 1.0, 0.0),
        ("brier", 0.25, 1.0, 0.5625),
        ("brier", 0.25, 0.75, 0.25),
        ("brier", 1.0, 1.0, 0.0),
        ("brier", 3.0, 1.0, 1.0),
        ("brier", -1e300, 0.0, 1.0),
        ("brier", math.nan, 0.0, 1.0),
        ("brier", math.inf, 1.0, 1.0),
    ],
)
def test_loss_by_kind_value_and_label(
    loss: Literal["error", "brier"], value: float, label: float, costs: float
) -> None:
    assert loss_of(OutputLoss("late", loss, 0.3), value, label) == costs
