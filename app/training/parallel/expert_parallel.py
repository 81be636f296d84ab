"""Expert parallelism: the ranks along ``ep`` hold different experts of each mixture, and tokens go to theirs and back
(Lepikhin et al. 2020, "GShard", section 3; without capacities, so that no token is dropped)."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.distributed._functional_collectives import all_to_all_single, all_to_all_single_autograd
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.func import functional_call


def share_experts(experts: nn.Module, mesh: DeviceMesh) -> None:
    """Leaves this rank its part of the experts, and sends each token to the rank that has its expert.

    Args:
        experts: a module of ``ParallelPlan.experts``, on the meta device.
        mesh: the ranks that share it, one dimension; their number divides that of the experts.
    """
    group, ranks = mesh.get_group(), mesh.size()
    # The computation without the weights, which become DTensors here and are sharded further by FSDP2.
    plain = deepcopy(experts)
    for name, weight in list(experts.named_parameters()):
        held = distribute_tensor(weight, mesh, [Shard(0)], src_data_rank=None)
        experts.register_parameter(name, nn.Parameter(held))

    def forward(tokens: Tensor, counts: Tensor) -> Tensor:
        arriving = all_to_all_single(counts, None, None, group).view(ranks, -1)
        sent, received = counts.view(ranks, -1).sum(1).tolist(), arriving.sum(1).tolist()
        arrived = all_to_all_single_autograd(tokens, received, sent, group)
        order = _by_expert(arriving)
        weights = {name: _local(weight, ranks) for name, weight in experts.named_parameters()}
        answers = functional_call(plain, weights, (arrived[order], arriving.sum(0)))
        returned: Tensor = all_to_all_single_autograd(answers[order.argsort()], sent, received, group)
        return returned

    experts.forward = forward


def _by_expert(arriving: Tensor) -> Tensor:
    """The order by expert, then sender, of rows by sender, then expert; there are (senders, experts) of them."""
    senders, experts = arriving.shape
    expert = torch.arange(experts, device=arriving.device).repeat(senders)
    return expert.repeat_interleave(arriving.flatten()).argsort(stable=True)


def _local(weight: Tensor, ranks: int) -> Tensor:
    """This rank's part of a weight. Its gradient sums up the tokens of all the ranks that share the experts, and each
    rank's loss is a mean over rows of its own; FSDP2 takes the mean over the ranks with the same experts only."""
    assert isinstance(weight, DTensor)
    local = weight.to_local()
    if local.requires_grad:
        local.register_hook(lambda gradient: gradient / ranks)  # type: ignore[no-untyped-call]
    return local
