"""The findings for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from tests.releases.judge.simulation.methods import ALPHA, FAILED_CHECKS, JUDGE, MAX_ERROR_RATE, METHODS
from tests.releases.judge.simulation.promises import CHANCE, PROMISED_S, Cell
from tests.releases.judge.simulation.samples import ERRORS, REQUESTS_PER_S, SECONDS

BESIDE = (
    f"{FAILED_CHECKS} failed checks: minutes in which more than {100 * MAX_ERROR_RATE:g} % of the challenger's "
    "requests fail (Flagger's way). Mann-Whitney: on the error rates of the minutes, at the end (Kayenta's way)"
)


def safe_table(cells: Sequence[Cell]) -> Table:
    """Challengers that are no worse: how many were rolled back."""
    shown = Table(
        title=f"Rolled back though no worse: {cells[0].releases} releases a line, {REQUESTS_PER_S} requests/s for "
        f"{SECONDS // 60} minutes, alpha {ALPHA:g}",
        caption=f"holds: at most {cells[0].most}, the {100 * (1 - CHANCE):g} % quantile of binomial"
        f"({cells[0].releases}, {ALPHA:g}). {BESIDE}",
    )
    for name in ("base rate", "weight"):
        shown.add_column(name)
    _columns(shown, [*METHODS, "promise"])
    for cell in cells:
        shares = [f"{100 * cell.taken_back(method) / cell.releases:.1f} %" for method in METHODS]
        shown.add_row(cell.scenario.base_text, cell.scenario.weight_text, *shares, _verdict(cell))
    return shown


def harmful_table(cells: Sequence[Cell]) -> Table:
    """Challengers that are worse: when they were rolled back."""
    shown = Table(
        title=f"Seconds until a worse one is rolled back, median (share of those found in {SECONDS // 60} minutes): "
        f"{100 * ERRORS:g} % errors in the champion, weight {cells[0].scenario.weight_text}",
        caption=f"holds: the promised median is within a {100 * (1 - CHANCE):g} % confidence bound of what was found",
    )
    _columns(shown, ["errors", "promised", *METHODS, "promise"])
    for cell in cells:
        errors = cell.scenario.errors
        assert errors is not None
        found = [f"{_seconds(cell.median_s(m))} ({100 * cell.taken_back(m) / cell.releases:.0f} %)" for m in METHODS]
        shown.add_row(f"{100 * errors:g} %", f"{PROMISED_S[errors]:g}", *found, _verdict(cell))
    return shown


def as_json(cells: Sequence[Cell], wall_s: float, seed: int) -> dict[str, Any]:
    """For programs."""
    return {"alpha": ALPHA, "seed": seed, "wall_s": wall_s, "cells": [_cell(cell) for cell in cells]}


def _cell(cell: Cell) -> dict[str, Any]:
    scenario = cell.scenario
    promise: dict[str, Any] = {"most_taken_back": cell.most}
    if scenario.errors is not None:
        promise = {"median_s": PROMISED_S[scenario.errors], "least_median_s": _finite(cell.least_median_s)}
    return {
        "weights": scenario.weights,
        "base": scenario.base_text,
        "errors": scenario.errors,
        "releases": cell.releases,
        "promised": promise,
        "broken": cell.broken,
        "methods": {
            method: {"taken_back": cell.taken_back(method), "median_s": _finite(cell.median_s(method))}
            for method in METHODS
        },
    }


def _columns(shown: Table, names: Sequence[str]) -> None:
    for name in names:
        shown.add_column(
            name, justify="left" if name == "promise" else "right", style="bold" if name == JUDGE else ""
        )


def _verdict(cell: Cell) -> Text:
    return Text("broken", style="red") if cell.broken else Text("holds", style="green")


def _seconds(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "never"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
