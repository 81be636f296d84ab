"""Loads of experts: how many tokens each one got of a step's global batch, and the recipe's answer to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.distributed.device_mesh import DeviceMesh

from app.training.recipe import Balance


class Balancer:
    """Counts the tokens of this rank's experts, and hands the sums over all ranks to the recipe.

    Args:
        parts: this rank's, as they are computed with: counting is the last thing that is added to them.
        experts: names as in ``ParallelPlan.experts``; those of other stages are passed over.
        passes: how often a step goes backward through each part: accumulated parts times microbatches.
        ranks: those that see other rows or positions of the batch.
    """

    def __init__(
        self, parts: Sequence[nn.Module], experts: Sequence[str], balance: Balance, passes: int, ranks: DeviceMesh
    ) -> None:
        self._balance, self._passes, self._ranks = balance, passes, ranks
        self._parts: list[tuple[nn.Module, list[str]]] = []
        self._counted: dict[str, deque[Tensor]] = {}
        for part in parts:
            modules = dict(part.named_modules())
            here = [name for name in experts if name in modules]
            self._parts.append((part, here))
            for name in here:
                # The last ones: before its first step torch's pipeline goes there and back once more for the shapes.
                self._counted[name] = deque(maxlen=passes)
                modules[name].register_forward_pre_hook(_counting(self._counted[name]))

    def step(self) -> None:
        """Balances by the tokens counted since the last step. A collective call of the ranks with the same parts."""
        assert all(len(counts) == self._passes for counts in self._counted.values())
        loads = torch.stack([torch.stack(tuple(counts)).sum(0) for counts in self._counted.values()])
        for counts in self._counted.values():
            counts.clear()
        for dimension in range(self._ranks.ndim):
            dist.all_reduce(loads, group=self._ranks.get_group(dimension))
        by_name = dict(zip(self._counted, loads, strict=True))
        for part, here in self._parts:
            self._balance(part, {name: by_name[name] for name in here})


def _counting(counted: deque[Tensor]) -> Callable[[nn.Module, Any], Any]:
    """A hook of a module that is called with tokens and how many each expert gets."""

    def count(module: nn.Module, given: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        tokens, counts = given
        if module.training:
            tokens = _Counted.apply(tokens, counts, counted)  # type: ignore[no-untyped-call]
        return tokens, counts

    disabled: Callable[[nn.Module, Any], Any] = torch.compiler.disable(count)  # type: ignore[no-untyped-call]
    return disabled


class _Counted(torch.autograd.Function):
    """The identity, counting in the backward pass: what activation checkpointing computes again goes forward twice,
    and backward once."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, counts: Tensor, counted: deque[Tensor]) -> Tensor:
        ctx.counts, ctx.counted = counts, counted
        return tokens.view_as(tokens)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        ctx.counted.append(ctx.counts)
        return gradient, None, None
