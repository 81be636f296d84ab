"""Cut points of the decoder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    SequenceParallel,
)

from app.recipes.bytelm.bytelm_decoder import CLASSES, MixtureOfExperts, Size
from app.training.recipe import ModelShape, ParallelPlan


def parallel_plan(size: Size, sequence: int) -> ParallelPlan:
    """The plan of a decoder of ``size`` that is trained on ``sequence`` positions. A mixture of experts is cut by
    expert, not by tensor parallelism."""
    blocks = tuple(f"blocks.{index}" for index in range(size.layers))
    return ParallelPlan(
        shape=ModelShape(
            heads=size.heads,
            kv_heads=size.kv_heads,
            feed_forward=size.feed_forward,
            classes=CLASSES,
            sequence=sequence,
            width=size.width,
            experts=size.experts,
            chosen=size.chosen,
        ),
        blocks=blocks,
        chain=("embedding", *blocks, "norm", "head"),
        attention=tuple(f"{block}.attention.attend" for block in blocks),
        experts=tuple(f"{block}.feed_forward.experts" for block in blocks) if size.experts else (),
        balance=balance if size.balance_rate else None,
        tensor=None if size.experts else partial(tensor_plan, blocks),
        input="tokens",
        target="targets",
        flops_per_row=flops_per_row(size, sequence),
    )


def balance(part: nn.Module, loads: Mapping[str, Tensor]) -> None:
    """Balances each mixture of a stage by the loads of its experts."""
    for name, load in loads.items():
        mixture = part.get_submodule(name.removesuffix(".experts"))
        assert isinstance(mixture, MixtureOfExperts)
        mixture.balance(load)


def flops_per_row(size: Size, sequence: int) -> float:
    """Forward and backward pass of a row: per position 6·N + 12·L·H·Q·T (Chowdhery et al. 2022, "PaLM", appendix B).

    N is every parameter that multiplies a token (the embedding is looked up; of a mixture the experts that it takes),
    H·Q the width, T the sequence. As there, attention counts in full although the causal mask leaves half of it, so
    that figures compare with published ones.
    """
    multiplied = size.active_parameters - CLASSES * size.width
    return float(sequence * (6 * multiplied + 12 * size.layers * size.width * sequence))


def tensor_plan(blocks: tuple[str, ...], sequence_parallel: bool, loss_parallel: bool) -> Mapping[str, ParallelStyle]:
    """Megatron's cut (Shoeybi et al. 2019, section 3): the first matrix of each pair by columns, the second by rows.

    With sequence parallel (Korthikanti et al. 2022, section 4.2.2) what lies between is sharded by position.
    """
    between = Shard(1) if sequence_parallel else Replicate()
    plan: dict[str, ParallelStyle] = {
        "embedding": RowwiseParallel(input_layouts=Replicate(), output_layouts=between),
        "head": ColwiseParallel(
            input_layouts=between,
            output_layouts=Shard(-1) if loss_parallel else Replicate(),
            use_local_output=not loss_parallel,
        ),
    }
    if sequence_parallel:
        plan["norm"] = SequenceParallel()
    for block in blocks:
        for column in ("attention.query", "attention.key", "attention.value", "feed_forward.gate", "feed_forward.up"):
            plan[f"{block}.{column}"] = ColwiseParallel()
        for row in ("attention.output", "feed_forward.down"):
            plan[f"{block}.{row}"] = RowwiseParallel(output_layouts=between)
        if sequence_parallel:
            plan[f"{block}.attention_norm"] = plan[f"{block}.feed_forward_norm"] = SequenceParallel()
            # Both gather the positions once, instead of once for each of their column-wise matrices.
            plan[f"{block}.attention"] = PrepareModuleInput(
                input_layouts=(Shard(1), None, None), desired_input_layouts=(Replicate(), None, None)
            )
            plan[f"{block}.feed_forward"] = PrepareModuleInput(
                input_layouts=(Shard(1),), desired_input_layouts=(Replicate(),)
            )
    return plan
