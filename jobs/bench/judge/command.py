"""``python -m jobs.bench judge``: how often the judge is wrong, and how long it takes to be right.

Releases are simulated, 100 requests a second for 30 minutes, and looked at each second. First challengers that are no
worse than the champion, at several weights and with base rates that stay or drift: the share that is rolled back
must be at most alpha. Then challengers with more errors, at 5 % weight: the median time until they are rolled back.
Beside the judge, on the same samples: a z-test looked at each second, five failed one-minute threshold checks, and
Mann-Whitney at the end.

Exit code: 0 when every promise holds within the error of the simulation, 1 when one is broken, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from jobs.bench.judge.methods import METHODS
from jobs.bench.judge.promises import HARMFUL, SAFE, Cell
from jobs.bench.judge.samples import draw
from jobs.bench.judge.tables import as_json, harmful_table, safe_table

LEAST, MOST = 20, 20_000


def main(argv: list[str]) -> int:
    """Simulate and print."""
    parser = _parser()
    options = parser.parse_args(argv)
    if not LEAST <= options.releases <= MOST:
        parser.error(f"--releases {options.releases}: {LEAST} to {MOST} are accepted")
    console = Console()
    if not console.is_terminal:
        console.width = 120
    started = time.monotonic()
    cells = _simulate(options.releases, options.seed, console)
    wall_s = time.monotonic() - started
    safe, harmful = cells[: len(SAFE)], cells[len(SAFE) :]
    console.print(safe_table(safe), harmful_table(harmful), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(as_json(cells, wall_s, options.seed), indent=1))
    if options.plot:
        from jobs.bench.judge.plot import draw as draw_figure  # takes a second to import

        draw_figure(safe, harmful).savefig(options.plot, dpi=150)
    broken = [cell.broken for cell in cells if cell.broken]
    for sentence in broken:
        console.print(sentence, style="red", markup=False)
    console.print(f"{len(cells) * options.releases:,} releases simulated and judged in {wall_s:.0f} s", markup=False)
    return 1 if broken else 0


def _simulate(releases: int, seed: int, console: Console) -> list[Cell]:
    cells = []
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("simulating", total=len(SAFE + HARMFUL) * len(METHODS))
        for place, scenario in enumerate(SAFE + HARMFUL):
            samples = draw(scenario, releases, np.random.default_rng([seed, place]))
            seconds = {}
            for name, method in METHODS.items():
                seconds[name] = method(samples)
                progress.advance(task)
            cells.append(Cell(scenario, seconds))
    return cells


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.bench judge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--releases", type=int, default=2000, metavar="N", help="releases of each kind [2000]")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the random numbers [1]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON, too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them (PNG, SVG or PDF by the name)")
    return parser
