"""The loops that are compared: the engine, under Ray Train or under torchrun, and a loop written by hand."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW

from app.recipes.bytelm import ByteLMConfig
from app.training.config.parallel_dims import ParallelDims
from app.training.config.schedule import learning_rate
from app.training.config.train_config import TrainConfig
from app.training.parallel.initialization import generator
from app.training.recipe import Data
from app.training.storage.run_folder import RunFolder
from app.training.worker.loop import Task, train_ranks
from app.training.worker.protocol import Report, WorkerCommand
from jobs.bench.training.turns import TimedRecipe, Turns

WORKERS = 2
BATCH = 16
CONFIG = ByteLMConfig(sequence=128, corpus="installed")
LAYOUT = ParallelDims(dp_replicate=WORKERS)


class NobodyWatches:
    """A link without a driver."""

    def send(self, report: Report) -> None:
        """Not told."""

    def standing_command(self) -> WorkerCommand:
        """None."""
        return WorkerCommand.NONE


def config_of() -> TrainConfig:
    """The run that every loop makes."""
    return TrainConfig(
        recipe="bytelm",
        model="bench",
        workers=str(WORKERS),
        batch_size=BATCH,
        checkpoint_every=10**9,
        options=CONFIG.model_dump(),
    )


def cut(data: Data, turns: Turns) -> Data:
    """The first rows: enough for one step more than is timed, since it is the next step's beginning that ends one."""
    rows = (turns.total + 1) * BATCH
    return Data({name: array[:rows] for name, array in data.train.items()}, data.test, data.fingerprint, data.facts)


def engine(turns: Turns, folder: Path) -> None:
    """The engine's own loop, as one rank under torchrun."""
    recipe = TimedRecipe(CONFIG, turns, "torchrun")
    task = Task(config_of(), recipe, cut(recipe.prepare(), turns), RunFolder(str(folder)), NobodyWatches())
    train_ranks(task, LAYOUT, torch.device("cpu"))


def by_hand(turns: Turns) -> None:
    """The loop written without the engine: DDP, AdamW, clipping, the schedule; rows from an array."""
    recipe = TimedRecipe(CONFIG, turns, "bare")
    data = cut(recipe.prepare(), turns)
    rank, config = dist.get_rank(), config_of()
    model = recipe.build(data)
    with torch.no_grad():
        for name, value in model.named_parameters():
            recipe.initialise(name, value, generator(config.seed, name))
    ddp = DistributedDataParallel(model)
    optimizer = AdamW(ddp.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    tokens, targets = (torch.from_numpy(data.train[name].copy()) for name in ("tokens", "targets"))
    steps, local = turns.total + 1, BATCH // WORKERS
    order = torch.randperm(len(tokens), generator=torch.Generator().manual_seed(config.seed))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate(step, steps, config.learning_rate, config.warmup_share)
        rows = order[step * BATCH + rank * local : step * BATCH + (rank + 1) * local]
        optimizer.zero_grad(set_to_none=True)
        loss = recipe.criterion(ddp(tokens[rows]), targets[rows])
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(ddp.parameters(), config.clip_norm)
        optimizer.step()


def main(arm: str, port: str, rounds: str, steps: str, folder: str) -> None:
    """Run one loop in a process that torchrun started."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    turns = Turns(int(port), int(rounds), int(steps))
    if arm == "torchrun":
        engine(turns, Path(folder))
    else:
        by_hand(turns)
    dist.destroy_process_group()


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
