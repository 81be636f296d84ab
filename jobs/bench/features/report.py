"""The figures of the readers beside Feast's, and the verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.table import Table

from app.terminal import table as console_table
from jobs.bench.features.workload import FEATURES, Turn

JUDGED = ("OnlineStore.read", "Feast, values")
"""What is promised to take less, and than what. Like with like: both end with Python values."""
JUDGED_ENTITIES = 32
AT_LEAST = 10.0

Turns = Mapping[tuple[int, str], Sequence[Turn]]
"""Every turn by number of entities and reader."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reader at one number of entities: medians over the turns, microseconds.

    Attributes:
        ratio: CPU time of Feast's values over this one's; None where Feast did not run.
    """

    entities: int
    reader: str
    cpu_us: float
    p50_us: float
    ratio: float | None


def findings(turns: Turns) -> list[Finding]:
    """The medians, in the order of the turns."""
    cpu = {key: median(turn.cpu_us for turn in found) for key, found in turns.items()}
    return [
        Finding(
            entities,
            reader,
            cpu[entities, reader],
            median(turn.p50_us for turn in found),
            cpu[entities, JUDGED[1]] / cpu[entities, reader] if (entities, JUDGED[1]) in cpu else None,
        )
        for (entities, reader), found in turns.items()
    ]


def shortfall(found: Sequence[Finding]) -> str | None:
    """Returns why the promise is broken, as a sentence; None where it holds or was not measured."""
    for each in found:
        if (each.entities, each.reader) == (JUDGED_ENTITIES, JUDGED[0]) and each.ratio is not None:
            if each.ratio >= AT_LEAST:
                return None
            return (
                f"{each.reader} of {each.entities} entities takes {each.cpu_us:.0f} µs of client CPU, "
                f"{each.ratio:.1f} times less than Feast's async client; at least {AT_LEAST:g} times is promised"
            )
    return None


def table(found: Sequence[Finding], title: str) -> Table:
    """For people."""
    figures = ("client CPU µs", "p50 µs", "times less CPU than Feast")
    shown = console_table(
        "entities", f"reader, {len(FEATURES)} float64 features", *figures, right=("entities", *figures)
    )
    shown.title = title
    for each in found:
        ratio = "" if each.ratio is None else f"{each.ratio:.1f}"
        shown.add_row(str(each.entities), each.reader, f"{each.cpu_us:.0f}", f"{each.p50_us:.0f}", ratio)
    return shown


def as_json(found: Sequence[Finding], feast: str | None, server: str) -> dict[str, Any]:
    """For programs."""
    return {
        "feast": feast,
        "server": server,
        "promised": {"entities": JUDGED_ENTITIES, "reader": JUDGED[0], "to": JUDGED[1], "at_least": AT_LEAST},
        "shortfall": shortfall(found),
        "readers": [
            {
                "entities": each.entities,
                "reader": each.reader,
                "cpu_us": each.cpu_us,
                "p50_us": each.p50_us,
                "times_less_cpu_than_feast": each.ratio,
            }
            for each in found
        ],
    }
