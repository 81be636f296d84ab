"""Context parallelism: the ranks along ``cp`` hold different positions of the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed._functional_collectives import all_to_all_single_autograd
from torch.distributed.tensor.experimental import context_parallel

from app.training.config.parallel_dims import Device, ParallelDims
from app.training.parallel.mesh import Mesh


def positions_of(rank: int, ranks: int, sequence: int, ring: bool) -> Tensor:
    """Positions that a rank holds, shape (sequence / ranks,), int64.

    Ulysses: a contiguous part. Ring: chunk ``rank`` of 2·ranks and its mirror image, so that under a causal mask all
    ranks have the same work (torch's head-tail load balancer expects just this order).
    """
    if not ring:
        return torch.arange(sequence).chunk(ranks)[rank]
    chunks = torch.arange(sequence).chunk(2 * ranks)
    return torch.cat((chunks[rank], chunks[2 * ranks - 1 - rank]))


def shard_positions(batch: Mapping[str, Tensor], positions: Tensor) -> dict[str, Tensor]:
    """The batch at ``positions`` only, with a column ``positions`` (rows, positions) that says which these are."""
    here = {name: column.index_select(1, positions) for name, column in batch.items()}
    rows = next(iter(here.values())).shape[0]
    return {**here, "positions": positions.expand(rows, -1)}


def gather_positions(output: Tensor, positions: Tensor, group: dist.ProcessGroup) -> Tensor:
    """A rank's output (rows, positions / n, …) -> that of all ranks, positions in order. A collective call."""
    if group.size() == 1:
        return output
    outputs = [torch.empty_like(output) for _ in range(group.size())]
    places = [torch.empty_like(positions) for _ in range(group.size())]
    dist.all_gather(outputs, output.contiguous(), group=group)
    dist.all_gather(places, positions.contiguous(), group=group)
    return torch.cat(outputs, dim=1).index_select(1, torch.cat(places).argsort())


def share_attention(attention: nn.Module, group: dist.ProcessGroup) -> None:
    """Ulysses (Jacobs et al. 2023, "DeepSpeed Ulysses", section 3): before attention the ranks exchange a part of
    the positions of all heads for all positions of a part of the heads; after it, back."""

    def gather(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(_heads_to_positions(tensor, group) for tensor in inputs)

    def scatter(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return _positions_to_heads(output, group)

    attention.register_forward_pre_hook(gather)
    attention.register_forward_hook(scatter)


def ring_attention(layout: ParallelDims, mesh: Mesh, device: Device) -> AbstractContextManager[object]:
    """Context manager in which scaled_dot_product_attention passes keys and values around the ring."""
    if layout.ring(device):
        found: AbstractContextManager[object] = context_parallel(mesh.whole["cp"])
        return found
    return nullcontext()


def _heads_to_positions(tensor: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Exchanges (batch, heads, positions / n, width) -> (batch, heads / n, positions, width)."""
    ranks = group.size()
    batch, heads, positions, width = tensor.shape
    outgoing = tensor.reshape(batch, ranks, heads // ranks, positions, width).movedim(1, 0)
    return _exchange(outgoing, group).permute(1, 2, 0, 3, 4).reshape(batch, heads // ranks, ranks * positions, width)


def _positions_to_heads(tensor: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Exchanges (batch, heads / n, positions, width) -> (batch, heads, positions / n, width)."""
    ranks = group.size()
    batch, heads, positions, width = tensor.shape
    outgoing = tensor.reshape(batch, heads, ranks, positions // ranks, width).movedim(2, 0)
    return _exchange(outgoing, group).movedim(0, 1).reshape(batch, ranks * heads, positions // ranks, width)


def _exchange(outgoing: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Slice ``i`` of the first dimension goes to rank ``i``; what arrives is ordered by sender."""
    arrived: Tensor = all_to_all_single_autograd(outgoing.contiguous(), None, None, group)
    return arrived
