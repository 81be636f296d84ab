"""Parameter servers on a real Ray cluster: the same as one process, within the bound, whole after every loss."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.config.schedule import BatchPlan, dropout_seed, learning_rate
from app.training.optimizer import ADAMW
from app.training.parameter_server.actors import ServerGroup
from app.training.parameter_server.config import ParameterServerConfig
from app.training.parameter_server.failures import ParameterServerError
from app.training.parameter_server.flat import build
from app.training.parameter_server.job import Optimization, ServerJob
from app.training.parameter_server.ranges import cut
from app.training.parameter_server.shard import Shard
from app.training.parameter_server.train import ServerResult, train_with_servers
from app.training.recipe import Recipe
from app.training.worker.loader import Loader
from app.training.worker.protocol import Report, Started, StepReport
from tests.recipes.bytelm.support import prose
from tests.support.tiny import TinyConfig, TinyRecipe
from tests.training.layouts.curve import Curve, compare

pytestmark = pytest.mark.usefixtures("driver")

OPTIMIZATION = Optimization(learning_rate=0.01, warmup_share=0.1, weight_decay=0.01, clip_norm=1.0)
STEPS = 40
ONE = ParameterServerConfig(servers=1, deadline_s=60)
TWO = ParameterServerConfig(servers=2, deadline_s=60)


def tiny(recipe: Recipe) -> ServerJob:
    """Forty steps of two workers, with a checkpoint every eight."""
    data = recipe.prepare()
    return ServerJob(recipe, data, BatchPlan(256, 32, 5, seed=0), 2, OPTIMIZATION, checkpoint_every=8, max_failures=2)


@dataclass
class Watch:
    """Collects reports and acts once, at the first report of a step so far."""

    actions: dict[int, Callable[[], None]] = field(default_factory=dict)
    started: list[Started] = field(default_factory=list)
    steps: list[StepReport] = field(default_factory=list)

    def __call__(self, report: Report) -> None:
        if isinstance(report, Started):
            self.started.append(report)
            return
        assert isinstance(report, StepReport)
        self.steps.append(report)
        for step in [step for step in self.actions if step <= report.step]:
            self.actions.pop(step)()

    def kill_worker(self) -> None:
        os.kill(self.started[-1].pids[-1], signal.SIGKILL)


@dataclass
class Stop:
    """A switch."""

    on: bool = False

    def __call__(self) -> bool:
        return self.on

    def switch(self) -> None:
        self.on = True


def alone(job: ServerJob, servers: int) -> Tensor:
    """The computation of synchronous servers, in this process and without any of their messages: flat parameters."""
    model = build(job.recipe, job.data, job.plan.seed)
    ranges = cut(model.parameters.numel(), servers)
    shards = [Shard(model.parameters[place.positions].numpy(), ADAMW, OPTIMIZATION.weight_decay) for place in ranges]
    loaders = [Loader(job.data.train, job.plan, rank, 2, torch.device("cpu")) for rank in range(2)]
    model.module.train()
    for step in range(job.plan.steps):
        parts = []
        for rank, loader in enumerate(loaders):
            torch.manual_seed(dropout_seed(job.plan.seed, step, rank))
            model.gradients.zero_()
            job.recipe.loss(model.module, loader.batch(step)).backward()  # type: ignore[no-untyped-call]
            parts.append(model.gradients.numpy().copy())
        squares = [
            shard.average([part[place.positions] for part in parts])
            for shard, place in zip(shards, ranges, strict=True)
        ]
        rate = learning_rate(step, job.plan.steps, OPTIMIZATION.learning_rate, OPTIMIZATION.warmup_share)
        for shard, place in zip(shards, ranges, strict=True):
            shard.step(sum(squares) ** 0.5, OPTIMIZATION.clip_norm, rate)
            model.parameters[place.positions] = torch.from_numpy(shard.values)
    return model.parameters


def plain(job: ServerJob) -> Curve:
    """One process and the whole batch, nothing of the engine but the initial numbers, the rows and the rates."""
    model = build(job.recipe, job.data, job.plan.seed).module
    settings = job.optimization
    optimizer = AdamW(model.parameters(), weight_decay=settings.weight_decay)
    losses, norms = [], []
    for step in range(job.plan.steps):
        rows = job.plan.shard(job.plan.order(job.plan.epoch_of(step)), step, 0, 1)
        rate = learning_rate(step, job.plan.steps, settings.learning_rate, settings.warmup_share)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        batch = {name: torch.from_numpy(column[rows]) for name, column in job.data.train.items()}
        loss = job.recipe.loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)))
        losses.append(float(loss.detach()))
        optimizer.step()
    return Curve(tuple(losses), tuple(norms))


def flat(result: ServerResult) -> Tensor:
    assert result.state is not None
    return torch.cat([value.flatten() for value in result.state.values()])


def never() -> bool:
    return False


def test_synchronous_follows_one_process(tmp_path: Path) -> None:
    """Losses within 5e-6, gradient norms within 1e-4, as every other layout."""
    recipe = ByteLMRecipe(ByteLMConfig(size="1m", sequence=32))
    whole = prose(sequence=32)
    data = replace(whole, train={name: column[:64] for name, column in whole.train.items()})
    optimization = replace(OPTIMIZATION, learning_rate=1e-3, clip_norm=0.5)
    job = ServerJob(recipe, data, BatchPlan(64, 8, 1, seed=0), 2, optimization, checkpoint_every=100, max_failures=0)
    watch = Watch()
    result = train_with_servers(job, TWO, tmp_path, watch, never)
    curve = Curve(tuple(report.loss for report in watch.steps), tuple(report.gradient_norm for report in watch.steps))
    comparison = compare(curve, plain(job))
    assert comparison.agrees, comparison
    assert result.summary.updates == result.summary.steps == 8
    assert result.summary.staleness == result.summary.lead == {0: 8 * 2 * 2}


def test_losses_of_a_worker_and_a_server_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tolerance: none. What is sent again is ignored, what is computed again is the same."""
    pids: list[tuple[int, ...]] = []
    start = ServerGroup.start
    monkeypatch.setattr(ServerGroup, "start", lambda *arguments: pids.append(start(*arguments)))
    watch = Watch()
    watch.actions = {10: watch.kill_worker, 20: lambda: os.kill(pids[-1][1], signal.SIGKILL)}
    job = tiny(TinyRecipe(TinyConfig(step_s=0.03)))
    result = train_with_servers(job, TWO, tmp_path, watch, never)
    assert (result.summary.worker_restarts, result.summary.server_restarts) == (1, 1)
    first, second, third = watch.started
    assert first.step == 0
    assert second.step > 8
    assert second.pids[0] == first.pids[0]
    assert second.pids[1] != first.pids[1]
    assert third.step % job.checkpoint_every == 0 < third.step
    assert torch.equal(flat(result), alone(job, servers=2))


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """Tolerance: none; between two regular checkpoints as well."""
    job = tiny(TinyRecipe(TinyConfig(step_s=0.02)))
    stop = Stop()
    stopped = train_with_servers(job, TWO, tmp_path, Watch({10: stop.switch}), stop)
    assert stopped.state is None
    assert 10 < stopped.summary.steps < STEPS
    watch = Watch()
    result = train_with_servers(job, TWO, tmp_path, watch, never)
    assert watch.started[0].step == stopped.summary.steps
    assert result.summary.updates == result.summary.steps == STEPS
    assert torch.equal(flat(result), alone(job, servers=2))
    with pytest.raises(ParameterServerError, match=r"servers = 1: the checkpoint in .* is of 2 servers"):
        train_with_servers(job, ONE, tmp_path, watch, never)


class UnevenRecipe(TinyRecipe):
    """A recipe whose first process is the slow one."""

    def __init__(self, config: TinyConfig, marker: Path) -> None:
        super().__init__(config)
        self.marker = marker
        self.slow: bool | None = None

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """One process in each run sleeps."""
        if self.slow is None:
            try:
                self.marker.touch(exist_ok=False)
                self.slow = True
            except FileExistsError:
                self.slow = False
        if self.slow:
            time.sleep(0.05)
        return super().loss(model, batch)


def test_the_bound_holds_against_a_straggler(tmp_path: Path) -> None:
    job = tiny(UnevenRecipe(TinyConfig(dropout=0.0), tmp_path / "slow"))
    settings = ParameterServerConfig(servers=2, mode="stale_synchronous", staleness=3, deadline_s=60)
    watch = Watch()
    result = train_with_servers(job, settings, tmp_path / "run", watch, never)
    summary = result.summary
    assert (summary.steps, summary.updates) == (STEPS, 2 * STEPS)
    assert max(summary.lead) == 3
    assert max(summary.staleness) <= 2 * 3 + 1
    assert sum(summary.lead.values()) == sum(summary.staleness.values()) == 2 * 2 * STEPS
    assert watch.steps[-1].loss < watch.steps[0].loss / 2


def test_asynchronous_workers_do_not_wait_and_every_step_counts_once(tmp_path: Path) -> None:
    job = tiny(UnevenRecipe(TinyConfig(dropout=0.0), tmp_path / "slow"))
    settings = ParameterServerConfig(servers=2, mode="asynchronous", deadline_s=60)
    stop, watch = Stop(), Watch()
    watch.actions = {2: watch.kill_worker, 10: stop.switch}
    stopped = train_with_servers(job, settings, tmp_path / "run", watch, stop)
    assert stopped.state is None
    assert stopped.summary.worker_restarts == 1
    (tmp_path / "slow").unlink()
    summary = train_with_servers(job, settings, tmp_path / "run", watch, never).summary
    assert (summary.steps, summary.updates) == (STEPS, 2 * STEPS)
    assert max(summary.lead) > 3
    assert len(summary.staleness) > 1
    assert sum(summary.staleness.values()) == 2 * 2 * STEPS


class FailingRecipe(TinyRecipe):
    """Raises at the first step."""

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Never."""
        raise ArithmeticError("the loss is not a number")


def test_a_recipe_that_raises_is_not_tried_again(tmp_path: Path) -> None:
    job = replace(tiny(FailingRecipe(TinyConfig())), workers=1)
    with pytest.raises(ParameterServerError, match="rank 0: ArithmeticError: the loss is not a number"):
        train_with_servers(job, ONE, tmp_path, Watch(), never)


def test_more_losses_than_allowed(tmp_path: Path) -> None:
    job = replace(tiny(TinyRecipe(TinyConfig(step_s=0.03))), workers=1, max_failures=0)
    watch = Watch()
    watch.actions = {2: watch.kill_worker}
    with pytest.raises(ParameterServerError, match="a worker was lost; losses so far: 1, max_failures = 0"):
        train_with_servers(job, ONE, tmp_path, watch, never)
