"""Quality of probabilities of a late arrival: figures and plots."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from app.training.recipe import Evaluation

BINS = 20
"""Groups of equal size in the calibration plot."""


def assess(late: NDArray[np.int64], probability: NDArray[np.float64]) -> Evaluation:
    """AUC, average precision, Brier score, log loss, and the curves behind them.

    Args:
        late: 0 or 1, shape (rows,), both present.
        probability: of being late, shape (rows,).
    """
    metrics = {
        "auc": float(roc_auc_score(late, probability)),
        "average_precision": float(average_precision_score(late, probability)),
        "brier": float(brier_score_loss(late, probability)),
        "log_loss": float(log_loss(late, probability, labels=[0, 1])),
    }
    figures = {
        "calibration": _calibration(late, probability),
        "roc": _roc(late, probability, metrics["auc"]),
        "precision_recall": _precision_recall(late, probability, metrics["average_precision"]),
    }
    return Evaluation(metrics, figures)


def calibration(
    late: NDArray[np.int64], probability: NDArray[np.float64], bins: int = BINS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean probability and share late in groups of equal size, by ascending probability."""
    order = np.argsort(probability, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    predicted = np.array([probability[group].mean() for group in groups])
    observed = np.array([late[group].mean() for group in groups])
    return predicted, observed


def _calibration(late: NDArray[np.int64], probability: NDArray[np.float64]) -> Figure:
    figure, axes = _square("predicted probability", "share late")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(*calibration(late, probability), marker="o", markersize=4)
    axes.set_title(f"Calibration, {BINS} groups of equal size")
    return figure


def _roc(late: NDArray[np.int64], probability: NDArray[np.float64], auc: float) -> Figure:
    figure, axes = _square("share of flights on time that are flagged", "share flagged among late flights")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    false_positive, true_positive, _ = roc_curve(late, probability)
    axes.plot(false_positive, true_positive)
    axes.set_title(f"ROC, area {auc:.3f}")
    return figure


def _precision_recall(late: NDArray[np.int64], probability: NDArray[np.float64], area: float) -> Figure:
    figure, axes = _square("recall", "precision")
    axes.axhline(late.mean(), color="0.7", linewidth=1)
    precision, recall, _ = precision_recall_curve(late, probability)
    axes.plot(recall, precision)
    axes.set_title(f"Precision and recall, average precision {area:.3f}")
    return figure


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=x, ylabel=y)
    return figure, axes
