"""The first losses and gradient norms of every layout, compared with one process.

Exit code: 0 when all hold, 1 when one misses or fails, 2 for an unknown name.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Annotated

import torch
import typer
from rich.console import Console

from app.errors import InvalidArgumentError
from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.terminal import Progress, table
from jobs.bench.harness import Report, benchmark
from tests.support.process_group import GroupError
from tests.training.layouts.cases import CASES, GROUPS
from tests.training.layouts.curve import LOSS_TOLERANCE, NORM_TOLERANCE, Comparison, compare
from tests.training.layouts.run import Run, measure_layout, reference


@dataclass(frozen=True, slots=True)
class Result:
    """One layout beside one process.

    Attributes:
        comparison: None when the layout did not run to its end.
        error: why not.
    """

    size: str
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
        return "holds" if self.comparison.agrees else "misses"


@dataclass(frozen=True, slots=True)
class Options:
    """The layouts and the steps."""

    only: Annotated[list[str], typer.Option(metavar="NAME", help=f"Of {', '.join(CASES)}.")] = field(
        default_factory=list
    )
    steps: Annotated[int, typer.Option(metavar="N", help="Steps to compare.")] = 20


def measure(options: Options, console: Console) -> Report:
    """Runs every layout that is asked for, over ``--steps`` steps in float32."""
    if unknown := sorted(set(options.only) - set(CASES)):
        raise InvalidArgumentError(f"--only {', '.join(unknown)}: accepted are {', '.join(CASES)}")
    torch.set_num_threads(1)
    results = []
    with Progress(console) as progress:
        for group in GROUPS:
            names = [name for name in group.layouts if name in (options.only or CASES)]
            if not names:
                continue
            recipe = ByteLMRecipe(ByteLMConfig(size=group.size, sequence=64, corpus="installed"))
            run = Run(recipe, recipe.prepare(), steps=options.steps, learning_rate=group.learning_rate)
            progress.show(f"{group.size}: one process")
            wanted = reference(run)
            for name in names:
                progress.show(f"{group.size}: {name}")
                started = time.monotonic()
                layout = group.layouts[name]
                try:
                    comparison, error = compare(measure_layout(run, layout), wanted), ""
                except GroupError as failure:
                    comparison, error = None, str(failure)
                seconds = time.monotonic() - started
                results.append(Result(group.size, name, layout.workers, comparison, seconds, error))
    figures = ("processes", "losses", "norms", "seconds")
    shown = table("bytelm", "layout", *figures, "verdict", right=figures)
    for found in results:
        apart = (
            ("", "")
            if found.comparison is None
            else tuple(f"{each:.1e}" for each in asdict(found.comparison).values())
        )
        shown.add_row(found.size, found.layout, str(found.processes), *apart, f"{found.seconds:.1f}", found.verdict)
    caption = (
        f"largest relative difference from one process over {options.steps} steps; holds: losses within "
        f"{LOSS_TOLERANCE:.0e}, norms before clipping within {NORM_TOLERANCE:.0e}"
    )
    document = {"layouts": [{**asdict(found), "verdict": found.verdict} for found in results]}
    broken = [f"{found.layout} {found.verdict} {found.error}" for found in results if found.verdict != "holds"]
    return Report([shown, caption], document, broken)


app = benchmark(Options, measure)
