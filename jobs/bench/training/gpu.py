"""Tokens a second and model FLOPs utilisation of a decoder on one device."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.optim import AdamW

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.config.parallel_dims import ParallelDims
from app.training.config.schedule import BatchPlan
from app.training.parallel.distributed_model import distribute_model
from app.training.parallel.mesh import build_mesh
from app.training.parallel.parallelize import device_type
from app.training.recipe import Data
from app.training.tracking.utilisation import utilisation
from app.training.worker.loader import Loader

SEQUENCE = 2048
ROWS = 4
WARM_UP, STEPS = 5, 20


@dataclass(frozen=True, slots=True)
class Throughput:
    """Speed of one device. ``utilisation``: model FLOPs over the device's peak, None where that is not known."""

    size: str
    device: str
    tokens_per_s: float
    utilisation: float | None


def throughput(size: str, sequence: int = SEQUENCE, steps: int = STEPS) -> Throughput:
    """Train a decoder of ``size`` on random bytes in this process: bfloat16, on a GPU compiled block by block."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", 0) if cuda else torch.device("cpu")
    recipe = ByteLMRecipe(ByteLMConfig(size=size, sequence=sequence))
    random = np.random.default_rng(0).integers(0, 256, (ROWS * (WARM_UP + steps), sequence), dtype=np.uint8)
    data = Data({"tokens": random, "targets": random}, {}, "0" * 64)
    layout = ParallelDims(compile=cuda, precision="bfloat16")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        store = f"file://{Path(folder) / 'store'}"
        dist.init_process_group("nccl" if cuda else "gloo", init_method=store, rank=0, world_size=1)
        try:
            mesh = build_mesh(layout, device_type(device))
            model = distribute_model(recipe, data, layout, mesh, device, 0)
            optimizer = AdamW(model.parameter_groups())
            loader = Loader(data.train, BatchPlan(len(random), ROWS, 1, 0), 0, 1, device)
            started = 0.0
            for step in range(WARM_UP + steps):
                if step == WARM_UP:
                    _synchronise(cuda)
                    started = time.perf_counter()
                optimizer.zero_grad(set_to_none=True)
                model.backward(loader.batch(step))
                model.clip(1.0)
                optimizer.step()
            _synchronise(cuda)
            seconds = time.perf_counter() - started
        finally:
            dist.destroy_process_group()
    rows_per_s = steps * ROWS / seconds
    name = torch.cuda.get_device_name(device) if cuda else "CPU"
    flops = recipe.parallel_plan(data).flops_per_row
    share = None if flops is None else utilisation(flops * rows_per_s, name, "bfloat16", 1)
    return Throughput(size, name, rows_per_s * sequence, share)


def _synchronise(cuda: bool) -> None:
    if cuda:
        torch.cuda.synchronize()
