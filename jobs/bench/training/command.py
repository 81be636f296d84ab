"""Ratios of one run, each loop beside what it is compared with.

Step time of the engine under Ray Train to the engine under torchrun, and of the engine to a DDP loop written by hand
(two processes, bytelm 1m, in turns); the stall of an asynchronous checkpoint to a synchronous one; peak memory of a
rank of fsdp4 to ddp4. On a GPU besides: tokens a second and model FLOPs utilisation of a 1 B decoder, compiled.

Exit code: 0 when every ratio is within its bound, 1 when one is not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.settings import get_settings
from app.terminal import Progress, table
from app.training.config.parallel_dims import ParallelDims
from jobs.bench.harness import Report, benchmark
from jobs.bench.training.gpu import Throughput, throughput
from jobs.bench.training.memory import peak_bytes
from jobs.bench.training.ranks import in_ranks
from jobs.bench.training.saving import measure_saving
from jobs.bench.training.steps import ratio, step_times
from jobs.connect import cluster

STEPS_PER_TURN = 12


class Part(StrEnum):
    """One comparison."""

    STEPS = "steps"
    SAVING = "saving"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Finding:
    """A ratio and what it may be at most; None: it is reported only."""

    name: str
    ratio: float
    at_most: float | None
    detail: str

    @property
    def is_met(self) -> bool:
        """True where the ratio is within its bound."""
        return self.at_most is None or self.ratio <= self.at_most


@dataclass(frozen=True, slots=True)
class Options:
    """The parts and their sizes."""

    only: Annotated[list[Part], typer.Option(help="What to measure.")] = field(default_factory=lambda: list(Part))
    rounds: Annotated[int, typer.Option(metavar="N", help="Turns of each loop.")] = 10
    saves: Annotated[int, typer.Option(metavar="N", help="Checkpoints of each kind.")] = 5
    size: Annotated[str, typer.Option(help="Decoder for checkpoints and memory.")] = "10m"
    gpu_size: Annotated[str, typer.Option(help="Decoder for the GPU, where there is one.")] = "1b"


def measure(options: Options, console: Console) -> Report:
    """Measure every ratio that is asked for."""
    findings = []
    with Progress(console) as progress:
        for finding in _findings(options):
            findings.append(finding)
            progress.show(f"{finding.name}: {finding.ratio:.3f}")
        found = throughput(options.gpu_size) if torch.cuda.is_available() else None
    return Report(
        [_table(findings), *([_described(found)] if found else [])],
        {
            "ratios": [{**asdict(each), "holds": each.is_met} for each in findings],
            "gpu": asdict(found) if found else None,
        },
        [f"{each.name}: {each.ratio:.3f}, at most {each.at_most}" for each in findings if not each.is_met],
    )


def _findings(options: Options) -> Iterator[Finding]:
    data = ByteLMRecipe(ByteLMConfig(sequence=128, corpus="installed")).prepare()
    with tempfile.TemporaryDirectory() as scratch:
        if Part.STEPS in options.only:
            with cluster(get_settings().ray):
                times = step_times(options.rounds, STEPS_PER_TURN, Path(scratch))
            milliseconds = {arm: f"{median(each) * 1000:.1f} ms" for arm, each in times.items()}
            detail = f"{len(times['ray'])} steps each; {{}} to {{}}"
            yield Finding(
                "step time, Ray Train to torchrun",
                ratio(times, "ray", "torchrun"),
                1.02,
                detail.format(milliseconds["ray"], milliseconds["torchrun"]),
            )
            yield Finding(
                "step time, engine to a DDP loop by hand",
                ratio(times, "torchrun", "bare"),
                1.05,
                detail.format(milliseconds["torchrun"], milliseconds["bare"]),
            )
        if Part.SAVING in options.only:
            work = partial(measure_saving, data, options.size, options.saves, Path(scratch) / "saving")
            saving = in_ranks(2, work)[0]
            yield Finding(
                "checkpoint stall, asynchronous to synchronous",
                saving.ratio,
                0.25,
                f"{options.size} on 2 ranks, {saving.size / 2**20:.0f} MiB in all; median "
                f"{median(saving.asynchronous) * 1000:.0f} ms to {median(saving.synchronous) * 1000:.0f} ms",
            )
        if Part.MEMORY in options.only:
            fsdp, ddp = (
                max(in_ranks(4, partial(peak_bytes, data, options.size, layout)))
                for layout in (ParallelDims(dp_shard=4), ParallelDims(dp_replicate=4))
            )
            yield Finding(
                "peak memory per rank, fsdp4 to ddp4",
                fsdp / ddp,
                None,
                f"{options.size}; {fsdp / 2**20:.0f} MiB to {ddp / 2**20:.0f} MiB",
            )


def _table(findings: list[Finding]) -> Table:
    shown = table("the engine, in one run", "ratio", "at most", "", right=("ratio", "at most"))
    for finding in findings:
        bound = "" if finding.at_most is None else f"{finding.at_most:.2f}"
        shown.add_row(finding.name, f"{finding.ratio:.3f}", bound, finding.detail)
    return shown


def _described(found: Throughput) -> str:
    share = "" if found.utilisation is None else f", {found.utilisation:.1%} of the device's peak"
    return f"{found.size} on one {found.device}, bfloat16: {found.tokens_per_s:,.0f} tokens/s{share}"


app = benchmark(Options, measure)
