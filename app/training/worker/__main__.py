"""One rank of a run that torchrun starts: no Ray, no MLflow, no Redis.

    torchrun --nproc-per-node 2 -m app.training.worker --config bytelm-1m --storage runs --json losses.json

Needs torch, numpy, pydantic, PyYAML and safetensors. Trains the same model as ``tidegate train`` does with the same
configuration: its checkpoints and, at the end, ``weights.safetensors`` lie in the run's folder below --storage. The
same command goes on after SIGTERM or Ctrl-C, which leave a checkpoint behind.

Exit code: 0 trained; 1 failed; 2 the configuration is refused; 75 stopped behind a checkpoint.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
import torch.distributed as dist
from safetensors.torch import save
from torch import nn

from app.errors import TidegateError
from app.exit_codes import DONE, STOPPED
from app.training.config.parallel_dims import Device, ParallelDims
from app.training.config.shipped import find_config
from app.training.config.train_config import ConfigError, TrainConfig, read_config
from app.training.config.validation import batch_plan
from app.training.config.world_sizes import layouts
from app.training.recipe import ParallelPlan, ParallelRecipe, Recipe, row_count
from app.training.storage.run_folder import RunFolder
from app.training.storage.run_identity import digest, folder_of
from app.training.worker.checkpoint import load_whole
from app.training.worker.loop import Task, train_ranks
from app.training.worker.probe import check_probe
from app.training.worker.protocol import Report, Saved, Started, StepReport, WorkerCommand

PROGRAM = "torchrun --nproc-per-node N -m app.training.worker"
WEIGHTS = "weights.safetensors"
"""File of the trained weights in the run's folder, by the names of the model's ``state_dict``."""


@dataclass(slots=True)
class ConsoleLink:
    """A link without a driver: reports are printed, and a signal is the only command."""

    steps: int
    losses: dict[int, float] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def send(self, report: Report) -> None:
        """Prints a report; keeps the losses."""
        if isinstance(report, StepReport):
            self.losses[report.step] = report.loss
            done = f"step {report.step + 1}/{self.steps}"
            print(f"{done}  loss {report.loss:.6f}  {report.rows_per_s:,.0f} rows/s", flush=True)
        elif isinstance(report, Started):
            device = report.device_name or report.device
            print(f"step {report.step}: {report.workers} workers on {device} ({report.layout})", flush=True)
        elif isinstance(report, Saved):
            print(f"step {report.step}: checkpoint complete after {report.write_s:.2f} s", flush=True)

    def standing_command(self) -> WorkerCommand:
        """LEAVE after a signal."""
        return WorkerCommand.LEAVE if self.stop.is_set() else WorkerCommand.NONE


def main(argv: list[str] | None = None) -> int:
    """Parses, trains, consolidates; returns the exit code."""
    options = _parser().parse_args(argv)
    first = os.environ.get("RANK", "0") == "0"
    try:
        if "WORLD_SIZE" not in os.environ:
            raise ConfigError(f"started without torchrun; accepted is {PROGRAM}")
        config = read_config(find_config(options.config), options.set)
        return _train(config, options.storage, options.json, first)
    except TidegateError as error:
        if first:
            print(error, file=sys.stderr)
        return error.exit_code


def _train(config: TrainConfig, storage: str, losses: Path | None, first: bool) -> int:
    started = time.monotonic()
    device = _device(config)
    kind: Device = "cuda" if device.type == "cuda" else "cpu"
    # By name: recipes lie above the engine, which imports none of them.
    recipe: Recipe = importlib.import_module("app.recipes").find_recipe(config.recipe, config.options)
    data = recipe.prepare()
    layout = _layout(config, recipe.parallel_plan(data) if isinstance(recipe, ParallelRecipe) else None, kind)
    plan = batch_plan(config, row_count(data.train))
    folder = folder_of(config, digest(config, data.fingerprint), storage)
    link = ConsoleLink(plan.steps)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _setting(link.stop))
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    train_ranks(Task(config, recipe, data, folder, link), layout, device)
    dist.barrier()
    dist.destroy_process_group()
    newest = folder.newest()
    step = newest.step if newest else 0
    if step < plan.steps:
        if first:
            print(f"stopped; the same command goes on from step {step}", flush=True)
        return STOPPED
    if not first:
        return DONE
    model = recipe.build(data)
    load_whole(folder, plan.steps, model)
    difference = check_probe(folder, recipe, data, model, config.layout.precision)
    folder.write_bytes(WEIGHTS, _safetensors(model))
    print(f"{folder.url}/{WEIGHTS}: outputs within {difference:.1e} of the trained model's", flush=True)
    if losses is not None:
        _write_json(losses, config, folder, layout, link, time.monotonic() - started)
    return DONE


def _device(config: TrainConfig) -> torch.device:
    local, workers = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    gpus = torch.cuda.device_count()
    if config.device == "gpu" and gpus < workers:
        raise ConfigError(f"device = 'gpu': {workers} processes here share {gpus} GPUs; accepted are cpu and auto")
    if config.device == "cpu" or gpus < workers:
        return torch.device("cpu")
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def _layout(config: TrainConfig, plan: ParallelPlan | None, device: Device) -> ParallelDims:
    if config.strategy != "collective":
        raise ConfigError(f"strategy = {config.strategy!r}: accepted under torchrun is collective")
    workers, possible = int(os.environ["WORLD_SIZE"]), layouts(config, plan, device)
    if workers not in possible:
        numbers = ", ".join(map(str, sorted(possible)))
        raise ConfigError(
            f"workers = {config.workers!r}: torchrun started {workers} processes; accepted are {numbers}, or "
            f"--set workers={workers}"
        )
    return possible[workers]


def _setting(stop: threading.Event) -> Callable[[int, FrameType | None], None]:
    return lambda number, frame: stop.set()


def _safetensors(model: nn.Module) -> bytes:
    content: bytes = save({name: value.contiguous() for name, value in model.state_dict().items()})
    return content


def _write_json(
    path: Path, config: TrainConfig, folder: RunFolder, layout: ParallelDims, link: ConsoleLink, seconds: float
) -> None:
    found = {
        "model": config.model,
        "weights": f"{folder.url}/{WEIGHTS}",
        "workers": layout.workers,
        "layout": str(layout),
        "steps": link.steps,
        "seconds": round(seconds, 3),
        "losses": [{"step": step, "loss": loss} for step, loss in sorted(link.losses.items())],
    }
    path.write_text(json.dumps(found, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", required=True, metavar="NAME", help="a YAML file, or the name of a shipped configuration"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="lay a value over the file, such as options.size=10m",
    )
    parser.add_argument(
        "--storage",
        default="runs",
        metavar="DIR",
        help="folder of all runs, which every rank reaches",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the losses by step at the end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
