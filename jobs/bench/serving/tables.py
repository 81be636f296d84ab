"""The findings as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from jobs.bench.serving.verdicts import Row, Verdict


def results(rows: Iterable[Row]) -> Table:
    """Every arm at every number of connections."""
    table = Table(title="V2 JSON, one row of four numbers; CPU of all processes of a server, above its idle")
    for name in ("", "connections", "CPU-ms/request", "p50 ms", "p99 ms", "requests/s", "idle cores", "failed"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=not name)
    last = ""
    for row in rows:
        if last and row.arm != last:
            table.add_section()
        failed = f"[red]{row.failed}[/]" if row.failed else "0"
        table.add_row(
            row.arm if row.arm != last else "",
            str(row.connections),
            f"{row.cpu_ms:.2f}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            f"{row.requests_per_s:,.0f}",
            f"{row.idle_cores:.2f}",
            failed,
        )
        last = row.arm
    return table


def targets(verdicts: Iterable[Verdict]) -> Table:
    """Every target with what was found."""
    table = Table(title="Targets, meant for a quiet machine")
    for name, justify in (("", "left"), ("found", "right"), ("at most", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for verdict in verdicts:
        colour = "green" if verdict.is_met else "red"
        table.add_row(verdict.name, f"[{colour}]{verdict.found:.2f}[/]", f"{verdict.at_most:.2f}", verdict.unit)
    return table
