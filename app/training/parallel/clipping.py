"""Clipping by the norm of all gradients, wherever they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from app.training.parallel.tensors import by_mesh


def clip(parameters: Sequence[nn.Parameter], largest: float, pipeline: dist.ProcessGroup | None) -> Tensor:
    """Scales the gradients so that their global norm is at most ``largest``.

    Args:
        parameters: those of this rank; sharded ones count as a whole, plain ones are the same on every rank that
            shares this stage.
        pipeline: the ranks that hold the other stages.

    Returns:
        The norm before clipping, a scalar, the same on every rank.
    """
    groups = by_mesh(parameter for parameter in parameters if parameter.grad is not None)
    squares = torch.zeros((), device=parameters[0].device)
    for group in groups:
        norm = get_total_norm([parameter.grad for parameter in group if parameter.grad is not None])
        squares += (norm.full_tensor() if isinstance(norm, DTensor) else norm).float() ** 2
    if pipeline is not None:
        dist.all_reduce(squares, group=pipeline)
    total = squares.sqrt()
    for group in groups:
        clip_grads_with_norm_(group, largest, total)
    return total
