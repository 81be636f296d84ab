"""The share of a rank: the real cut of the real model, made on the meta device among processes that do not exist.

torch remembers of a device mesh which rank it first was, so each pipeline rank is a process that ends after its
answer: a fork of one program (``python -m app.training.dryrun``) that has imported torch and nothing else.
"""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from math import prod
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage
from torch.distributed.pipelining.schedules import PipelineScheduleMulti, get_schedule_class
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from app.training.config.parallel_dims import Device, ParallelDims
from app.training.dryrun.flight import PassOrder, order_of
from app.training.parallel.mesh import Mesh, build_mesh
from app.training.parallel.parallelize import partition, shard
from app.training.parallel.pipeline import take_parts
from app.training.recipe import ParallelPlan

TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A pipeline stage (without a pipeline: the model) as a rank holds it. Parameters are counted in elements.

    Attributes:
        kept: this rank's own.
        whole: with what its data-parallel peers keep gathered.
        blocks: how many; in_blocks: parameters in them, gathered; largest_block: in the largest one, gathered. A
            model that names no blocks is one.
    """

    index: int
    kept: int
    whole: int
    blocks: int
    in_blocks: int
    largest_block: int


@dataclass(frozen=True, slots=True)
class Held:
    """Share of the first rank of a pipeline rank. Its peers hold as much, but for rounding.

    Attributes:
        rank: in the whole group.
        order: forward and backward passes of its stages, in time.
    """

    pipeline_rank: int
    rank: int
    stages: tuple[Stage, ...]
    order: PassOrder


@dataclass(frozen=True, slots=True)
class Cut:
    """A model and the layout that it is cut by.

    Attributes:
        model: on the meta device.
        plan: None for a recipe without one.
    """

    model: nn.Module
    plan: ParallelPlan | None
    layout: ParallelDims
    device: Device


def held(cut: Cut, timeout_s: float = TIMEOUT_S) -> tuple[Held, ...]:
    """Returns the share of the first rank of each pipeline rank.

    Raises:
        RuntimeError: the model cannot be cut so, although ``validation`` accepted it; the message has the reason.
        subprocess.TimeoutExpired: it took longer than ``timeout_s``.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "asked"), Path(folder, "answered")
        asked.write_bytes(pickle.dumps(cut))
        run_program(asked, answered, timeout_s)
        ranks: tuple[Held, ...] = pickle.loads(answered.read_bytes())  # noqa: S301 # our own child wrote it
        return ranks


def run_program(asked: Path, answered: Path, timeout_s: float) -> None:
    """Runs ``answer`` in a process that has imported torch and nothing else.

    Raises:
        RuntimeError, subprocess.TimeoutExpired: as ``held`` does.
    """
    command = [sys.executable, "-m", "app.training.dryrun", str(asked), str(answered)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    if ended.returncode:
        raise RuntimeError(ended.stderr.strip())


def answer(asked: Path, answered: Path) -> None:
    """The program: a pickled :class:`Cut` is read, a tuple of :class:`Held` is written."""
    cut: Cut = pickle.loads(asked.read_bytes())  # noqa: S301 # our own parent wrote it
    context = multiprocessing.get_context("fork")
    ranks = []
    for rank in range(cut.layout.pp):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(cut, rank, sender))
        process.start()
        sender.close()
        try:
            ranks.append(receiver.recv())
        except EOFError:
            sys.exit(1)  # the fork has said why
        process.join()
    answered.write_bytes(pickle.dumps(tuple(ranks)))


def _send(cut: Cut, pipeline_rank: int, sender: Connection) -> None:
    layout = cut.layout
    rank = pipeline_rank * (layout.workers // layout.pp)
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=layout.workers)
    # A mesh of GPUs wants to see some; how large the shares are does not depend on the kind of device.
    mesh = build_mesh(layout, "cpu")
    sender.send(Held(pipeline_rank, rank, *_stages(cut, mesh)))


def _stages(cut: Cut, mesh: Mesh) -> tuple[tuple[Stage, ...], PassOrder]:
    layout, plan = cut.layout, cut.plan
    if plan is None:
        if layout.uses_fsdp2:
            shard(cut.model, [], layout, mesh)
        return (_stage(0, cut.model, ()),), order_of(None)
    indices, parts = take_parts(cut.model, plan, layout, mesh.rank("pp"))
    for part in parts:
        partition(part, plan, layout, mesh, cut.device)
    stages = tuple(_stage(index, part, plan.blocks) for index, part in zip(indices, parts, strict=True))
    return stages, _order(layout, indices, mesh)


def _stage(index: int, part: nn.Module, names: tuple[str, ...]) -> Stage:
    modules = dict(part.named_modules())
    parameters = list(part.parameters())
    whole = sum(map(_gathered, parameters))
    blocks = [sum(map(_gathered, modules[name].parameters())) for name in names if name in modules] or [whole]
    kept = sum((value.to_local() if isinstance(value, DTensor) else value).numel() for value in parameters)
    return Stage(index, kept, whole, len(blocks), sum(blocks), max(blocks))


def _gathered(value: Tensor) -> int:
    """Elements after FSDP2 has gathered its shards: what tp and ep cut stays where it is."""
    if not isinstance(value, DTensor):
        return value.numel()
    names = value.device_mesh.mesh_dim_names or ()
    sizes = zip(names, value.device_mesh.shape, value.placements, strict=True)
    return value.numel() // prod(size for name, size, cut in sizes if name in ("tp", "ep") and cut.is_shard())


def _order(layout: ParallelDims, indices: tuple[int, ...], mesh: Mesh) -> PassOrder:
    if layout.schedule is None:
        return order_of(None)
    kind = get_schedule_class(layout.schedule)
    stages = [
        PipelineStage(nn.Identity(), index, layout.stages, torch.device("cpu"), group=mesh.group("pp"))
        for index in indices
    ]
    schedule = kind(stages if issubclass(kind, PipelineScheduleMulti) else stages[0], layout.microbatches)
    return order_of(schedule.pipeline_order[mesh.rank("pp")])
