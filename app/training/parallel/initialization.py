"""Initial weights that do not depend on the layout: each tensor has random numbers of its own, by its name."""

from __future__ import annotations

import hashlib
from itertools import chain

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from app.training.recipe import ParallelRecipe


def materialise(part: nn.Module, recipe: ParallelRecipe, seed: int, device: torch.device) -> None:
    """Gives a part on the meta device memory and its initial values. A rank holds its shards and, for a moment, one
    whole tensor; nothing is sent. The values are those of any other layout with the same seed."""
    part.to_empty(device=device)
    with torch.no_grad():
        for name, value in chain(part.named_parameters(), part.named_buffers()):
            whole = torch.empty(value.shape, dtype=value.dtype)
            recipe.initialise(name, whole, generator(seed, name))
            _place(value, whole)


def generator(seed: int, name: str) -> torch.Generator:
    """The random numbers of one tensor: a function of the run's seed and the tensor's name."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _place(value: Tensor, whole: Tensor) -> None:
    if isinstance(value, DTensor):
        # src_data_rank None: every rank has the same whole tensor and cuts its own shard from it.
        cut = distribute_tensor(whole.to(value.device), value.device_mesh, value.placements, src_data_rank=None)
        value.to_local().copy_(cut.to_local())
    else:
        value.copy_(whole)
