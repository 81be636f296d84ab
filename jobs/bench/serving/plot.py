"""The findings as a figure."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jobs.bench.serving.memory import MIB, Sample
from jobs.bench.serving.verdicts import RESIDENT_MIB, Row


def draw(rows: Sequence[Row], memory: Sequence[Sample]) -> Figure:
    """CPU per request and latency by arm and connections, and memory over requests; only what was measured."""
    panels = 2 * bool(rows) + bool(memory)
    figure = Figure(figsize=(6.5 * panels, 5.5), layout="constrained")
    axes = [figure.add_subplot(1, panels, index + 1) for index in range(panels)]
    if rows:
        _bars(axes[0], rows, [row.cpu_ms for row in rows], "CPU-ms per request, all processes, above idle")
        _bars(axes[1], rows, [row.p99_ms for row in rows], "99th percentile of the latency, ms")
        axes[1].tick_params(labelleft=False)  # the same arms
        axes[1].legend(frameon=False, loc="lower left", bbox_to_anchor=(1, 0))
    if memory:
        _memory(axes[-1], memory)
    return figure


def _bars(axes: Axes, rows: Sequence[Row], values: Sequence[float], title: str) -> None:
    arms = list(dict.fromkeys(row.arm for row in rows))
    connections = sorted({row.connections for row in rows})
    height = 0.8 / len(connections)
    for index, count in enumerate(connections):
        chosen = [
            (arms.index(row.arm), value) for row, value in zip(rows, values, strict=True) if row.connections == count
        ]
        bars = axes.barh(
            [place + (index - (len(connections) - 1) / 2) * height for place, _ in chosen],
            [value for _, value in chosen],
            height,
            label=f"{count} connection{'s' * (count > 1)}",
        )
        axes.bar_label(bars, fmt=_shown, padding=2, fontsize=7)
    axes.set_yticks(range(len(arms)), arms)
    axes.invert_yaxis()
    axes.set_xscale("log")  # from a tenth of a millisecond to seconds
    axes.margins(x=0.12)
    axes.set_title(title)


def _memory(axes: Axes, memory: Sequence[Sample]) -> None:
    for number, pid in enumerate(memory[-1].resident, start=1):
        points = [(sample.requests / 1000, sample.resident[pid] / MIB) for sample in memory if pid in sample.resident]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"replica {number}")
    axes.axhline(RESIDENT_MIB, color="0.7", linewidth=1)
    axes.set(xlabel="thousand requests", ylabel="MiB resident", ylim=(0, None))
    axes.set_title("Memory of the gateway's replicas")
    axes.legend(frameon=False)


def _shown(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"
