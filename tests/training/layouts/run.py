"""The run that every layout repeats, and the plain loop that it is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from app.training.config.parallel_dims import ParallelDims
from app.training.config.schedule import BatchPlan
from app.training.config.validation import check_layout
from app.training.parallel.distributed_model import distribute_model
from app.training.parallel.initialization import generator
from app.training.parallel.mesh import build_mesh
from app.training.recipe import Data, ParallelRecipe, Recipe
from app.training.worker.loader import Loader
from tests.support.process_group import GroupError, in_processes
from tests.training.layouts.curve import Curve

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Run:
    """The recipe and its data, and how they are trained.

    Attributes:
        batch_size: rows per step over all ranks.
        clip_norm: small enough that clipping happens, so that a wrong norm shows in the losses as well.
    """

    recipe: Recipe
    data: Data
    steps: int = 20
    batch_size: int = 16
    learning_rate: float = 1e-3
    clip_norm: float = 0.5
    seed: int = 0

    @property
    def plan(self) -> BatchPlan:
        """The rows of each step."""
        rows = len(next(iter(self.data.train.values())))
        return BatchPlan(rows, self.batch_size, 1, self.seed)


def reference(run: Run) -> Curve:
    """One process, plain PyTorch, nothing of the engine but the initial numbers and the order of the rows."""
    torch.manual_seed(run.seed)
    model = run.recipe.build(run.data)
    if isinstance(run.recipe, ParallelRecipe):
        with torch.no_grad():
            for name, value in model.named_parameters():
                run.recipe.initialise(name, value, generator(run.seed, name))
    balance = _balance(run, model)
    optimizer = AdamW(model.parameters(), lr=run.learning_rate)
    order = run.plan.order(0)
    losses, norms = [], []
    for step in range(run.steps):
        rows = run.plan.shard(order, step, 0, 1)
        optimizer.zero_grad()
        loss = run.recipe.loss(model, {name: torch.from_numpy(array[rows]) for name, array in run.data.train.items()})
        loss.backward()  # type: ignore[no-untyped-call]
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), run.clip_norm)))
        losses.append(float(loss.detach()))
        optimizer.step()
        balance()
    return Curve(tuple(losses), tuple(norms))


def _balance(run: Run, model: nn.Module) -> Callable[[], None]:
    """Returns what balances the model's experts after a step. It counts tokens forward: here that is once a step."""
    plan = run.recipe.parallel_plan(run.data) if isinstance(run.recipe, ParallelRecipe) else None
    if plan is None or plan.balance is None:
        return lambda: None
    balance, loads = plan.balance, dict[str, Tensor]()

    def watch(name: str) -> None:
        def count(_: nn.Module, given: tuple[Tensor, Tensor]) -> None:
            loads[name] = given[1]

        model.get_submodule(name).register_forward_pre_hook(count)

    for name in plan.experts:
        watch(name)
    return lambda: balance(model, loads)


def measure_layout(run: Run, layout: ParallelDims, timeout_s: float = 300) -> Curve:
    """Runs ``layout`` in as many processes as it needs.

    Returns:
        The curve that the first rank saw; all ranks are checked to have seen the same.

    Raises:
        GroupError: a process raised, died, or did not end in time; the others are killed.
    """
    curves = in_processes(layout.workers, partial(spread_run, run, layout), timeout_s)
    if any(curve != curves[0] for curve in curves):
        raise GroupError("the ranks report different losses or norms")
    return curves[0]


def spread_run(run: Run, layout: ParallelDims) -> Curve:
    """The same steps by the engine, as one rank of the default process group."""
    plan = run.recipe.parallel_plan(run.data) if isinstance(run.recipe, ParallelRecipe) else None
    check_layout(layout, plan, "cpu", run.batch_size)
    mesh = build_mesh(layout, "cpu")
    model = distribute_model(run.recipe, run.data, layout, mesh, CPU, run.seed)
    optimizer = AdamW(model.parameter_groups(), lr=run.learning_rate)
    loader = Loader(run.data.train, run.plan, mesh.dp_rank, layout.dp, CPU)
    losses, norms = [], []
    for step in range(run.steps):
        optimizer.zero_grad()
        losses.append(float(model.mean_loss(model.backward(loader.batch(step)))))
        norms.append(float(model.clip(run.clip_norm)))
        optimizer.step()
    return Curve(tuple(losses), tuple(norms))
