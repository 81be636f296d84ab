"""Metrics against values worked out by hand."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest

from app.recipes.flights.metrics import assess, calibration

LATE = np.array([0, 0, 1, 1])
PROBABILITY = np.array([0.1, 0.4, 0.35, 0.8])


def test_metrics_equal_those_worked_out_by_hand() -> None:
    metrics = assess(LATE, PROBABILITY).metrics
    assert metrics["auc"] == pytest.approx(3 / 4)  # of four pairs, 0.4 stands above 0.35
    assert metrics["average_precision"] == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert metrics["brier"] == pytest.approx((0.1**2 + 0.4**2 + 0.65**2 + 0.2**2) / 4)
    logs = math.log(0.9) + math.log(0.6) + math.log(0.35) + math.log(0.8)
    assert metrics["log_loss"] == pytest.approx(-logs / 4)


def test_calibration_groups_are_of_equal_size_by_ascending_probability() -> None:
    predicted, observed = calibration(LATE, PROBABILITY, bins=2)
    np.testing.assert_allclose(predicted, [(0.1 + 0.35) / 2, (0.4 + 0.8) / 2])
    np.testing.assert_allclose(observed, [1 / 2, 1 / 2])


def test_calibration_of_few_rows_has_no_empty_group() -> None:
    predicted, observed = calibration(LATE, PROBABILITY, bins=20)
    assert len(predicted) == len(observed) == 4


def test_every_plot_can_be_drawn() -> None:
    figures = assess(LATE, PROBABILITY).figures
    assert set(figures) == {"calibration", "roc", "precision_recall"}
    for figure in figures.values():
        file = io.BytesIO()
        figure.savefig(file, format="png")
        assert file.getvalue().startswith(b"\x89PNG")
