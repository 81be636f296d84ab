"""Checkpoints across layouts, for real: what one layout saved another goes on from as if nothing had happened."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.recipes.bytelm.named_sizes import SIZES
from app.training.config.parallel_dims import ParallelDims
from app.training.optimizer import ADAMW, RankOptimizer
from app.training.parallel.distributed_model import distribute_model
from app.training.parallel.mesh import build_mesh
from app.training.storage.run_folder import CheckpointMetadata, RunFolder
from app.training.worker.checkpoint import Checkpointer, CheckpointError, Retention, load_whole
from app.training.worker.loader import Loader
from app.training.worker.probe import ExportError, check_probe, save_probe_batch
from app.training.worker.protocol import Saved
from tests.recipes.bytelm.support import prose
from tests.support.process_group import GroupError, in_processes
from tests.training.layouts.curve import Curve, compare
from tests.training.layouts.run import Run, reference

CPU = torch.device("cpu")
STEPS, SAVED_AT = 6, 3
LAYOUTS = {
    "single": ParallelDims(),
    "ddp2": ParallelDims(dp_replicate=2),
    "fsdp4": ParallelDims(dp_shard=4),
    "fsdp2×tp2": ParallelDims(dp_shard=2, tp=2, sequence_parallel=True, loss_parallel=True),
    "pp2×fsdp2": ParallelDims(pp=2, dp_shard=2, schedule="Interleaved1F1B", microbatches=2),
    "pp2 ZBV": ParallelDims(pp=2, schedule="ZBVZeroBubble", microbatches=4),
    "cp2": ParallelDims(cp=2),
    "ep2 of fsdp4": ParallelDims(dp_shard=4, ep=2),
    "pp2×ep2": ParallelDims(pp=2, dp_shard=2, schedule="ZBVZeroBubble", microbatches=4, ep=2),
}
"""Which layout loads what which saved: every one of the five that are promised, both ways."""
PAIRS = [
    ("ddp2", "fsdp4"),
    ("fsdp4", "pp2×fsdp2"),
    ("pp2×fsdp2", "fsdp2×tp2"),
    ("fsdp2×tp2", "single"),
    ("single", "ddp2"),
    ("pp2 ZBV", "cp2"),
]
PAIRS_OF_MIXTURE = [("ep2 of fsdp4", "pp2×ep2"), ("pp2×ep2", "single")]


@pytest.fixture(scope="module")
def run() -> Run:
    """A few steps of the smallest decoder."""
    return Run(ByteLMRecipe(ByteLMConfig(size="1m", sequence=32)), prose(sequence=32), steps=STEPS, batch_size=8)


@pytest.fixture(scope="module")
def expected(run: Run) -> Curve:
    """The undisturbed run, by a plain loop."""
    return reference(run)


def part_of_a_run(run: Run, layout: ParallelDims, folder: RunFolder, first: int, end: int) -> Curve:
    """Goes on, as one rank, from the newest checkpoint, which must be at ``first``, and saves at ``end``."""
    mesh = build_mesh(layout, "cpu")
    model = distribute_model(run.recipe, run.data, layout, mesh, CPU, run.seed)
    optimizer = RankOptimizer(ADAMW, model.parameter_groups(), run.learning_rate, 0.01)
    said: list[Saved] = []
    group = dist.new_group(backend="gloo")
    checkpoints = Checkpointer(folder, model, optimizer, group, Retention(2, 0), said.append)
    assert checkpoints.restore() == first
    loader = Loader(run.data.train, run.plan, mesh.dp_rank, layout.dp, CPU)
    losses, norms = [], []
    for step in range(first, end):
        optimizer.zero_grad()
        losses.append(float(model.mean_loss(model.backward(loader.batch(step)))))
        norms.append(float(model.clip(run.clip_norm)))
        optimizer.step()
    save_probe_batch(folder, model, loader.batch(0))
    checkpoints.save(end, losses[-1])
    checkpoints.finish()
    assert [saved.step for saved in said] == ([end] if dist.get_rank() == 0 else [])
    assert checkpoints.take_stall_s() > 0
    return Curve(tuple(losses), tuple(norms))


@pytest.fixture(scope="module")
def mixture() -> Run:
    """The same with experts."""
    recipe = ByteLMRecipe(ByteLMConfig(size="3m-a1m", sequence=32))
    return Run(recipe, prose(sequence=32), steps=STEPS, batch_size=8, learning_rate=3e-4)


@pytest.fixture(scope="module")
def expected_of_mixture(mixture: Run) -> Curve:
    return reference(mixture)


def named(pairs: list[tuple[str, str]]) -> list[str]:
    return [f"{saving} to {loading}" for saving, loading in pairs]


@pytest.mark.parametrize(("saving", "loading"), PAIRS, ids=named(PAIRS))
def test_checkpoint_is_resumed_in_another_layout(
    run: Run, expected: Curve, saving: str, loading: str, tmp_path: Path
) -> None:
    goes_on(run, expected, saving, loading, tmp_path)


@pytest.mark.parametrize(("saving", "loading"), PAIRS_OF_MIXTURE, ids=named(PAIRS_OF_MIXTURE))
def test_experts_are_resumed_on_other_ranks(
    mixture: Run, expected_of_mixture: Curve, saving: str, loading: str, tmp_path: Path
) -> None:
    goes_on(mixture, expected_of_mixture, saving, loading, tmp_path)
    model = mixture.recipe.build(mixture.data)
    load_whole(RunFolder(str(tmp_path / "run")), STEPS, model)
    biases = torch.cat([bias for _, bias in model.named_buffers()])
    # Each step moves a bias by the rate: some expert had less, or more, than the mean load in all of them.
    assert float(biases.abs().max()) == pytest.approx(STEPS * SIZES["3m-a1m"].balance_rate)


def goes_on(run: Run, expected: Curve, saving: str, loading: str, tmp_path: Path) -> None:
    """Half of the run in one layout, half in the other, together the undisturbed run."""
    folder = RunFolder(str(tmp_path / "run"))
    parts = []
    for name, first, end in ((saving, 0, SAVED_AT), (loading, SAVED_AT, STEPS)):
        layout = LAYOUTS[name]
        work = partial(part_of_a_run, run, layout, folder, first, end)
        parts.append(in_processes(layout.workers, work)[0])
    found = Curve(parts[0].losses + parts[1].losses, parts[0].norms + parts[1].norms)
    comparison = compare(found, expected)
    assert comparison.agrees, comparison
    assert [metadata.step for metadata in folder.complete()] == [SAVED_AT, STEPS]
    model = run.recipe.build(run.data)
    load_whole(folder, STEPS, model)
    assert check_probe(folder, run.recipe, run.data, model, "float32") < 2e-5
    load_whole(folder, SAVED_AT, model)
    with pytest.raises(ExportError, match="differ from the trained one's by"):
        check_probe(folder, run.recipe, run.data, model, "float32")


def save_while(run: Run, folder: RunFolder, spoil: Callable[[Path], None], root: Path) -> str:
    """Saves as one rank; returns what the next save says when the folder was spoilt meanwhile."""
    mesh = build_mesh(ParallelDims(), "cpu")
    model = distribute_model(run.recipe, run.data, ParallelDims(), mesh, CPU, run.seed)
    optimizer = RankOptimizer(ADAMW, model.parameter_groups(), 1e-3, 0.01)
    checkpoints = Checkpointer(folder, model, optimizer, dist.new_group(backend="gloo"), Retention(1, 0), print)
    spoil(root)
    checkpoints.save(1, 1.0)
    try:
        checkpoints.finish()
    except CheckpointError as error:
        return str(error)
    return ""


def a_file_in_the_way(root: Path) -> None:
    root.mkdir(parents=True)
    (root / "checkpoints").write_text("not a folder")


def test_a_checkpoint_that_cannot_be_written_is_an_error(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "run"
    (said,) = in_processes(1, partial(save_while, run, RunFolder(str(root)), a_file_in_the_way, root))
    assert re.match(r"a checkpoint could not be written: NotADirectoryError\(20, 'Not a directory'\)", said), said


def die_while_saving(run: Run, folder: RunFolder) -> None:
    """Saves as one of two ranks: the second one is gone before its shard is written."""
    layout = ParallelDims(dp_shard=2)
    mesh = build_mesh(layout, "cpu")
    model = distribute_model(run.recipe, run.data, layout, mesh, CPU, run.seed)
    optimizer = RankOptimizer(ADAMW, model.parameter_groups(), 1e-3, 0.01)
    checkpoints = Checkpointer(folder, model, optimizer, dist.new_group(backend="gloo"), Retention(2, 0), print)
    checkpoints.save(1, 1.0)
    checkpoints.finish()
    if dist.get_rank() == 1:
        raise SystemExit("killed")
    checkpoints.save(2, 1.0)
    checkpoints.finish()


def test_a_half_written_checkpoint_is_never_chosen(run: Run, tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path / "run"))
    with pytest.raises(GroupError):
        in_processes(2, partial(die_while_saving, run, folder))
    assert folder.newest() == CheckpointMetadata(1, 1.0, "dp_shard=2")


def test_the_address_may_be_any_that_fsspec_opens(run: Run) -> None:
    """An object store that lives in the memory of one process."""
    (curves,) = in_processes(1, partial(in_memory, run))
    assert curves.losses == reference(run).losses[:SAVED_AT]


def in_memory(run: Run) -> Curve:
    folder = RunFolder(f"memory://{time.monotonic_ns()}/run")
    first = part_of_a_run(run, ParallelDims(), folder, 0, 1)
    second = part_of_a_run(run, ParallelDims(), folder, 1, SAVED_AT)
    return Curve(first.losses + second.losses, first.norms + second.norms)
