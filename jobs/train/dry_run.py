"""The dry run of a training: mesh, batch, parameters and memory, without a cluster, a registry or a device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from rich.table import Table

from app.terminal import console, table
from app.training.config.parallel_dims import DIMENSIONS, Device, ParallelDims
from app.training.config.train_config import ConfigError, TrainConfig
from app.training.config.validation import batch_plan
from app.training.config.world_sizes import check_early, layouts
from app.training.dryrun import Estimate, estimate, memory_errors
from app.training.optimizer import find_optimizer
from app.training.recipe import Data, ParallelPlan, ParallelRecipe, Recipe, row_count


def dry_run(config: TrainConfig, recipe: Recipe) -> None:
    """Print mesh, batch, parameters and memory of the largest number of workers that ``config`` allows.

    The device is the configuration's; auto is taken for the CPU, which refuses more.

    Raises:
        ConfigError: no number of workers is possible, there are too few rows, or a rank needs more memory than its
            device has.
    """
    check_early(config)
    if config.strategy == "parameter_server":
        _print_servers(config, recipe)
        return
    device: Device = "cuda" if config.device == "gpu" else "cpu"
    data = recipe.prepare()
    plan = recipe.parallel_plan(data) if isinstance(recipe, ParallelRecipe) else None
    possible = layouts(config, plan, device)
    most = max(possible)
    # A memory limit is one for every size that the run may have; fewer workers share less.
    sizes = (most,) if config.device_memory_gib is None else tuple(possible)
    optimizer = find_optimizer(config.optimizer)
    found = {size: estimate(recipe, data, possible[size], config.batch_size, device, optimizer) for size in sizes}
    screen = console()
    if len(possible) > 1:
        screen.print(_sizes(possible), "\n")
    for line in _facts(config, device, data, plan, found[most]):
        screen.print(line)
    screen.print("", _ranks(found[most]), sep="\n")
    _check_memory(config, found)


def _print_servers(config: TrainConfig, recipe: Recipe) -> None:
    """Parameter servers have no mesh: each holds a range of the weights, with the optimizer's states."""
    data = recipe.prepare()
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in recipe.build(data).parameters())
    servers, optimizer = config.parameter_server.servers, find_optimizer(config.optimizer)
    held = _size((4 + optimizer.state_bytes) * -(-parameters // servers))
    screen = console()
    screen.print(
        f"strategy    {config.max_workers} workers, {servers} parameter servers, {config.parameter_server.mode}"
    )
    screen.print(f"parameters  {parameters:,}")
    screen.print(
        f"batch       {config.batch_size} rows a step: {config.batch_size // config.max_workers} on each worker"
    )
    screen.print(f"server      {held} for weights and optimizer, gradients besides")
    screen.print(f"worker      {_size(8 * parameters)} for weights and gradients, activations besides")


def _check_memory(config: TrainConfig, found: Mapping[int, Estimate]) -> None:
    if config.device_memory_gib is None:
        return
    lines = [
        f"workers = {workers}: {line}"
        for workers, each in found.items()
        for line in memory_errors(each, config.device_memory_gib)
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def _facts(
    config: TrainConfig, device: Device, data: Data, plan: ParallelPlan | None, found: Estimate
) -> Iterator[str]:
    layout = found.layout
    mesh = " × ".join(f"{name} {size}" for name, size in zip(DIMENSIONS, layout.mesh_shape, strict=True))
    yield f"mesh        {mesh} = {layout.workers} workers on {device}, {layout.precision}"
    if layout.schedule is not None:
        yield f"pipeline    {layout.schedule}, {layout.stages} stages, {layout.microbatches} microbatches"
    yield f"parameters  {found.parameters:,}"
    if plan is not None and plan.experts:
        shape = plan.shape
        yield f"experts     {shape.chosen} of {shape.experts} for each token, shared by ep {layout.ep} ranks"
    parts = layout.accumulation * layout.microbatches
    yield (
        f"batch       {config.batch_size} rows a step: {layout.dp} data-parallel ranks × {parts} parts "
        f"× {found.rows} rows"
    )
    yield f"steps       {batch_plan(config, row_count(data.train)).steps:,}"
    if plan is not None and plan.flops_per_row is not None:
        yield f"FLOPs       {plan.flops_per_row * config.batch_size:.3g} a step, nothing computed twice"


def _sizes(possible: Mapping[int, ParallelDims]) -> Table:
    shown = table("workers", "layout", "accumulation")
    for workers, layout in possible.items():
        shown.add_row(str(workers), str(layout), str(layout.accumulation))
    return shown


def _ranks(found: Estimate) -> Table:
    titles = ("rank", "stages", "parameters", "gradients", "optimizer", "≈ activations", "≈ gathered", "≈ sum")
    shown = table(*titles, right=titles)
    for rank in found.ranks:
        sizes = (rank.parameters, rank.gradients, rank.optimizer, rank.activations, rank.gathered, rank.total)
        shown.add_row(str(rank.rank), ", ".join(map(str, rank.stages)), *map(_size, sizes))
    return shown


def _size(count: int) -> str:
    """Returns bytes as text in GiB or MiB."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.2f} MiB"
