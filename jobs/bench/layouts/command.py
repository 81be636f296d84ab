"""``python -m jobs.bench layouts``: compare the first losses and gradient norms of every layout with one process."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from jobs.bench.layouts.cases import CASES, GROUPS, Group
from jobs.bench.layouts.curve import LOSS_TOLERANCE, NORM_TOLERANCE, Comparison, compare
from jobs.bench.layouts.run import Run, measure, reference
from jobs.bench.processes import GroupError


@dataclass(frozen=True, slots=True)
class Result:
    """A line of the table.

    Attributes:
        comparison: None when the layout did not run to its end.
        error: why not.
    """

    layout: str
    processes: int
    comparison: Comparison | None
    seconds: float
    error: str = ""

    @property
    def verdict(self) -> str:
        """holds, misses or fails."""
        if self.comparison is None:
            return "fails"
        return "holds" if self.comparison.holds else "misses"


def main(argv: list[str]) -> int:
    """Run and print. Exit code: 0 all hold, 1 one misses or fails, 2 an unknown name."""
    options = _parser().parse_args(argv)
    unknown = sorted(set(options.only or ()) - set(CASES))
    console = Console()
    if not console.is_terminal:
        console.width = 100
    if unknown:
        console.print(f"--only {', '.join(unknown)}: accepted are {', '.join(CASES)}", markup=False)
        return 2
    torch.set_num_threads(1)
    results = []
    for group in GROUPS:
        names = [name for name in group.layouts if name in (options.only or CASES)]
        if names:
            results += _measured(group, names, options.steps, console)
    for result in results:
        if result.error:
            console.print(f"{result.layout}: {result.error}", markup=False, soft_wrap=True)
    if options.json:
        options.json.write_text(
            json.dumps([{**asdict(found), "verdict": found.verdict} for found in results], indent=1)
        )
    return 0 if all(result.verdict == "holds" for result in results) else 1


def _measured(group: Group, names: list[str], steps: int, console: Console) -> list[Result]:
    """Run these layouts of a group and print its table."""
    recipe = ByteLMRecipe(ByteLMConfig(size=group.size, sequence=64, corpus="installed"))
    run = Run(recipe, recipe.prepare(), steps=steps, learning_rate=group.learning_rate)
    results = []
    with console.status("one process") as status:
        wanted = reference(run)
        for name in names:
            status.update(name)
            started = time.monotonic()
            layout = group.layouts[name]
            try:
                comparison, error = compare(measure(run, layout), wanted), ""
            except GroupError as failure:
                comparison, error = None, str(failure)
            results.append(Result(name, layout.workers, comparison, time.monotonic() - started, error))
            if not console.is_terminal:  # a job's log: a line when there is something to say
                console.print(f"{name}: {results[-1].verdict}, {results[-1].seconds:.1f} s", markup=False)
    console.print(table(results, group.size, run, wanted.losses))
    return results


def table(results: list[Result], size: str, run: Run, losses: tuple[float, ...]) -> Table:
    """The results as a person reads them."""
    found = Table(
        title=f"{size}: {run.steps} steps against one process (loss {losses[0]:.4f} to {losses[-1]:.4f}), "
        f"{run.batch_size} rows a step, float32; largest relative difference",
        caption=f"holds: losses within {LOSS_TOLERANCE:.0e}, norms before clipping within {NORM_TOLERANCE:.0e}",
    )
    for name in ("layout", "processes", "losses", "norms", "seconds", "verdict"):
        found.add_column(name, justify="left" if name in ("layout", "verdict") else "right", no_wrap=True)
    for result in results:
        figures = ("", "")
        if result.comparison is not None:
            figures = (f"{result.comparison.loss:.1e}", f"{result.comparison.norm:.1e}")
        colour = "green" if result.verdict == "holds" else "red"
        found.add_row(
            result.layout, str(result.processes), *figures, f"{result.seconds:.1f}", f"[{colour}]{result.verdict}[/]"
        )
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs.bench layouts", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join(CASES)}")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="steps to compare [20]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON, too")
    return parser
