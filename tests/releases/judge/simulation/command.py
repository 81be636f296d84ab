"""Errors of the judge, and its time to a right verdict.

Releases are simulated, 100 requests a second for 30 minutes, and looked at each second. First challengers that are no
worse than the champion, at several weights and with base rates that stay or drift: the share that is rolled back
must be at most alpha. Then challengers with more errors, at 5 % weight: the median time until they are rolled back.
Beside the judge, on the same samples: a z-test looked at each second, five failed one-minute threshold checks, and
Mann-Whitney at the end.

Exit code: 0 when every promise holds within the error of the simulation, 1 when one is broken, 2 for wrong arguments.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console

from app.errors import InvalidArgumentError
from app.terminal import Progress
from jobs.bench.harness import Report, benchmark
from tests.releases.judge.simulation.methods import METHODS
from tests.releases.judge.simulation.promises import HARMFUL, SAFE, Cell
from tests.releases.judge.simulation.samples import draw
from tests.releases.judge.simulation.tables import as_json, harmful_table, safe_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_RELEASES, MAX_RELEASES = 20, 20_000


@dataclass(frozen=True, slots=True)
class Options:
    """The size of the simulation."""

    releases: Annotated[int, typer.Option(metavar="N", help="Releases of each kind.")] = 2000
    seed: Annotated[int, typer.Option(metavar="N", help="Of the random numbers.")] = 1


def measure(options: Options, console: Console) -> Report:
    """Simulate every kind of release and judge it by every method."""
    if not MIN_RELEASES <= options.releases <= MAX_RELEASES:
        accepted = f"{MIN_RELEASES} to {MAX_RELEASES} are accepted"
        raise InvalidArgumentError(f"--releases {options.releases}: {accepted}")
    started, cells = time.monotonic(), list[Cell]()
    with Progress(console) as progress:
        for place, scenario in enumerate(SAFE + HARMFUL):
            progress.show(f"simulating {place + 1} of {len(SAFE + HARMFUL)} kinds of release")
            samples = draw(scenario, options.releases, np.random.default_rng([options.seed, place]))
            cells.append(Cell(scenario, {name: method(samples) for name, method in METHODS.items()}))
    wall_s = time.monotonic() - started
    safe, harmful = cells[: len(SAFE)], cells[len(SAFE) :]

    def drawn() -> Figure:
        from tests.releases.judge.simulation.plot import draw as draw_figure  # takes a second to import

        return draw_figure(safe, harmful)

    said = f"{len(cells) * options.releases:,} releases simulated and judged in {wall_s:.0f} s"
    return Report(
        [safe_table(safe), harmful_table(harmful), said],
        as_json(cells, wall_s, options.seed),
        [cell.broken for cell in cells if cell.broken],
        drawn,
    )


app = benchmark(Options, measure)
