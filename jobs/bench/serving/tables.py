"""The findings as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from app.terminal import table
from jobs.bench.serving.verdicts import Row, TargetResult


def results(rows: Iterable[Row]) -> Table:
    """Returns every arm at every number of connections."""
    figures = ("connections", "CPU-ms/request", "p50 ms", "p99 ms", "requests/s", "idle cores", "failed")
    shown = table("server", *figures, right=figures, whole=("server",))
    shown.title = "V2 JSON, one row of four numbers; CPU of all processes of a server, above its idle"
    for row in rows:
        shown.add_row(
            row.arm,
            str(row.connections),
            f"{row.cpu_ms:.2f}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            f"{row.requests_per_s:,.0f}",
            f"{row.idle_cores:.2f}",
            Text(str(row.failed), style="red" if row.failed else ""),
        )
    return shown


def targets(verdicts: Iterable[TargetResult]) -> Table:
    """Returns every target with what was found."""
    shown = table("target", "found", "at most", "unit", right=("found", "at most"))
    shown.title = "Targets, meant for a quiet machine"
    for verdict in verdicts:
        found = Text(f"{verdict.found:.2f}", style="green" if verdict.is_met else "red")
        shown.add_row(verdict.name, found, f"{verdict.at_most:.2f}", verdict.unit)
    return shown
