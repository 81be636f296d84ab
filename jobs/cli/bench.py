"""``tidegate bench``: the benchmarks, each imported when it is called."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from app.errors import InvalidArgumentError
from app.exit_codes import NOT_UNDERSTOOD
from jobs.cli.lazy import LazyCommand, lazy_group, load

ROOT = Path(__file__).parents[2]
BENCHMARKS = {
    "features": LazyCommand("A read of online features at its client, beside Feast.", "jobs.bench.features.command"),
    "head-loss": LazyCommand(
        "The loss of Ray's head: requests, deploys, a training run.", "tests.cluster.head_loss.command"
    ),
    "judge": LazyCommand(
        "False alarms of the judge and its times to a verdict, beside other tests on the same samples.",
        "tests.releases.judge.simulation.command",
    ),
    "layouts": LazyCommand(
        "Every parallel layout, compared with the loss curve of one process.", "tests.training.layouts.command"
    ),
    "serving": LazyCommand(
        "CPU per request, latency and memory of the gateway, beside other servers on the same model.",
        "jobs.bench.serving.command",
    ),
    "training": LazyCommand(
        "Step times, checkpoint stalls and memory, beside what they are compared with.",
        "jobs.bench.training.command",
    ),
}
"""Those in ``tests`` are tests of a clone that print tables, too."""


def _load(row: LazyCommand) -> typer.Typer:
    if row.module.startswith("tests."):
        if not (ROOT / "tests").is_dir():
            raise InvalidArgumentError(
                f"{row.module} is one of the repository's tests: run it from a clone, not from {ROOT}"
            )
        if str(ROOT) not in sys.path:
            sys.path.append(str(ROOT))
    return load(row)


app = typer.Typer(cls=lazy_group(BENCHMARKS, highest=NOT_UNDERSTOOD, load=_load), add_completion=False)


@app.callback()
def bench() -> None:
    """Measure, compare with what is promised, and print both.

    Exit code: 0 when every bound holds, 1 when one does not or nothing could be measured, 2 not understood.
    """
