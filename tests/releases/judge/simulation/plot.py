"""The findings as a figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tests.releases.judge.simulation.methods import ALPHA, JUDGE, METHODS
from tests.releases.judge.simulation.promises import PROMISED_S, Cell
from tests.releases.judge.simulation.samples import SECONDS


def draw(safe: Sequence[Cell], harmful: Sequence[Cell]) -> Figure:
    """Share of safe releases that were rolled back, and of worse ones by the time since their start."""
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    alarms, times = figure.subplots(1, 2)
    height = 0.8 / len(METHODS)
    for index, method in enumerate(METHODS):
        alarms.barh(
            [place + (index - (len(METHODS) - 1) / 2) * height for place in range(len(safe))],
            [100 * cell.taken_back(method) / cell.releases for cell in safe],
            height,
            label=method,
        )
    alarms.axvline(100 * ALPHA, color="0.4", linewidth=1, linestyle="--")
    names = [f"{cell.scenario.base_text} errors\nweight {cell.scenario.weight_text}" for cell in safe]
    alarms.set_yticks(range(len(safe)), names, fontsize=8)
    alarms.invert_yaxis()
    alarms.set(xlabel="% rolled back", title=f"Releases that are no worse (dashed: alpha, {100 * ALPHA:g} %)")
    alarms.legend(frameon=False, fontsize=8)
    for cell in harmful:
        seconds = np.sort(cell.seconds[JUDGE])
        share = 100 * np.arange(1, cell.releases + 1) / cell.releases
        errors = cell.scenario.errors
        assert errors is not None
        (line,) = times.step(seconds, share, where="post", label=f"{100 * errors:g} % errors")
        times.plot(PROMISED_S[errors], 50, marker="o", color=line.get_color())
    times.set(xscale="log", xlim=(0.9, SECONDS), ylim=(0, 100), xlabel="seconds", ylabel="% rolled back")
    times.set_title("Worse releases, by the judge (dots: promised median)")
    times.legend(frameon=False, fontsize=8)
    return figure
