"""The seam of optimizers: one that this test brings trains, is saved, goes on, is estimated and serves as a shard."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from app.recipes.bytelm import ByteLMConfig
from app.training.config.parallel_dims import ParallelDims
from app.training.config.schedule import BatchPlan, learning_rate
from app.training.config.train_config import ConfigError, TrainConfig, parse_config
from app.training.config.world_sizes import check_early
from app.training.dryrun import estimate
from app.training.optimizer import OptimizerKind, RankOptimizer, find_optimizer
from app.training.parallel.initialization import generator
from app.training.parameter_server.shard import Shard
from app.training.recipe import row_count
from app.training.storage.run_folder import RunFolder
from app.training.storage.run_identity import digest
from app.training.worker.loop import Task, train_ranks
from app.training.worker.protocol import Report, StepReport, WorkerCommand
from tests.recipes.bytelm.support import ProseRecipe
from tests.support.process_group import in_processes

MOMENTUM = OptimizerKind(
    name="momentum",
    build=lambda groups, rate, decay: SGD(groups, lr=rate, momentum=0.9, weight_decay=decay),
    states=("momentum_buffer",),
    counts_steps=False,
)
WHOLE_TENSORS = replace(MOMENTUM, name="whole-tensors", elementwise=False)
RECIPE = ProseRecipe(ByteLMConfig(size="1m", sequence=32))
CONFIG = TrainConfig(
    recipe="tests.recipes.bytelm.support:ProseRecipe",
    model="momentum",
    optimizer=f"{__name__}:MOMENTUM",
    batch_size=128,
    learning_rate=0.05,
    weight_decay=0.001,
    checkpoint_every=3,
    keep_checkpoints=5,
)


@dataclass
class Losses:
    """A link that keeps the losses."""

    by_step: dict[int, float] = field(default_factory=dict)

    def send(self, report: Report) -> None:
        if isinstance(report, StepReport):
            self.by_step[report.step] = report.loss

    def standing_command(self) -> WorkerCommand:
        return WorkerCommand.NONE


def trained(layout: ParallelDims, folder: RunFolder) -> dict[int, float]:
    """The losses of one rank's run from the newest checkpoint; empty on all ranks but the first."""
    losses = Losses()
    train_ranks(Task(CONFIG, RECIPE, RECIPE.prepare(), folder, losses), layout, torch.device("cpu"))
    return losses.by_step


def by_hand() -> list[float]:
    """The losses of a loop written out with torch's SGD."""
    data = RECIPE.prepare()
    plan = BatchPlan(row_count(data.train), CONFIG.batch_size, 1, CONFIG.seed)
    model = RECIPE.build(data)
    with torch.no_grad():
        for name, value in model.named_parameters():
            RECIPE.initialise(name, value, generator(CONFIG.seed, name))
    optimizer = SGD(model.parameters(), lr=1.0, momentum=0.9, weight_decay=CONFIG.weight_decay)
    losses = []
    for step in range(plan.steps):
        rate = learning_rate(step, plan.steps, CONFIG.learning_rate, CONFIG.warmup_share)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        rows = plan.shard(plan.order(0), step, 0, 1)
        loss = RECIPE.loss(model, {name: torch.from_numpy(array[rows]) for name, array in data.train.items()})
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), CONFIG.clip_norm)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_own_optimizer_trains_is_saved_and_goes_on_in_another_layout(tmp_path: Path) -> None:
    """Tolerance: 1e-4 relative on every loss, as between layouts."""
    folder = RunFolder(str(tmp_path / "run"))
    whole = in_processes(2, partial(trained, ParallelDims(dp_shard=2), folder))[0]
    expected = by_hand()
    np.testing.assert_allclose([whole[step] for step in sorted(whole)], expected, rtol=1e-4)
    for metadata in folder.complete():
        if metadata.step > 3:
            shutil.rmtree(folder.checkpoint(metadata.step))
    rest = in_processes(1, partial(trained, ParallelDims(), folder))[0]
    assert sorted(rest) == list(range(3, len(expected)))
    np.testing.assert_allclose([rest[step] for step in sorted(rest)], expected[3:], rtol=1e-4)


def test_dry_run_counts_the_states_of_the_own_optimizer() -> None:
    """One float32 for each parameter; ``test_estimate`` has the two of AdamW."""
    found = estimate(RECIPE, RECIPE.prepare(), ParallelDims(), 8, "cpu", MOMENTUM)
    assert found.fullest.optimizer == 4 * found.parameters


def test_shard_of_a_parameter_server_follows_the_own_optimizer() -> None:
    values = np.arange(4, dtype=np.float32)
    shard = Shard(values, MOMENTUM, weight_decay=0.5)
    plain = nn.Parameter(torch.from_numpy(values.copy()))
    optimizer = SGD([plain], lr=0.1, momentum=0.9, weight_decay=0.5)
    for _ in range(3):
        shard.average([np.ones(4, np.float32)])
        shard.step(norm=1.0, largest=2.0, learning_rate=0.1)
        plain.grad = torch.ones(4)
        optimizer.step()
    np.testing.assert_array_equal(shard.values, plain.detach().numpy())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"layout": {"dp_shard": "rest", "dp_replicate": 1}}, "updates whole tensors, which dp_shard = 2 cuts"),
        ({"layout": {"tp": 2}}, "updates whole tensors, which tp = 2 cuts"),
        (
            {"strategy": "parameter_server", "keep_checkpoints": 2},
            "updates whole tensors, which parameter servers cut",
        ),
        ({"optimizer": "lion"}, "optimizer = 'lion': accepted are adamw, or package.module:NAME of your own"),
        ({"optimizer": "json:loads"}, "optimizer = 'json:loads': it is a function; accepted is an OptimizerKind"),
        ({"optimizer": "json:none"}, "optimizer = 'json:none': module 'json' has no attribute 'none'"),
    ],
)
def test_what_an_optimizer_cannot_do_is_refused(changes: dict[str, object], sentence: str) -> None:
    values = CONFIG.model_dump() | {"optimizer": f"{__name__}:WHOLE_TENSORS", "workers": 2} | changes
    with pytest.raises(ConfigError, match=sentence):
        check_early(parse_config(values))


def test_whole_tensor_optimizer_is_accepted_on_replicas() -> None:
    check_early(parse_config(CONFIG.model_dump() | {"optimizer": f"{__name__}:WHOLE_TENSORS", "workers": 2}))


def test_states_of_a_parameter_are_those_that_torch_updates() -> None:
    parameter = nn.Parameter(torch.ones(3))
    optimizer = RankOptimizer(find_optimizer("adamw"), [{"params": [parameter]}], 0.1, 0.0)
    parameter.grad = torch.ones(3)
    optimizer.step()
    np.testing.assert_allclose(optimizer.states(parameter)["exp_avg"].numpy(), 0.1)


def test_identity_of_a_run_with_the_default_optimizer_is_the_one_of_runs_before_the_choice() -> None:
    plain = CONFIG.model_copy(update={"optimizer": "adamw"})
    assert digest(plain, "data")[:12] == "1e18a2470ba0"
    assert digest(plain, "data") != digest(CONFIG, "data")
