"""Activations of a decoder: what the forward pass keeps for the backward pass. An estimate. Pure.

After Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models", section 4, with what
is different here: attention that does not keep its scores (FlashAttention), grouped keys and values, SwiGLU, RMSNorm,
no dropout, mixtures of experts, and a choice of types. ``torch.compile`` keeps less: it computes cheap operations
again.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.training.config.parallel_dims import Device, ParallelDims
from app.training.recipe import ModelShape


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes that one microbatch keeps on one rank.

    Attributes:
        inside: all that the backward pass of a block needs.
        block: what a block keeps until then: the same, or its input with activation checkpointing.
        first: of the embedding; last: of the last norm, the head and the loss; boundary: what a stage hands on.
    """

    inside: int
    block: int
    first: int
    last: int
    boundary: int


def kept(shape: ModelShape, layout: ParallelDims, device: Device, rows: int) -> Kept:
    """Returns the bytes that a microbatch of ``rows`` rows keeps."""
    tokens = rows * shape.sequence // layout.cp
    tp = layout.tp
    between = tp if layout.sequence_parallel else 1
    autocast = layout.precision == "bfloat16" and not layout.uses_fsdp2
    computed = 2 if layout.precision == "bfloat16" else 4
    # Autocast leaves the residual stream in float32, and casts a matrix's input for each matrix again.
    residual = 4 if autocast else computed
    ulysses = layout.cp > 1 and not layout.ring(device)

    handed_on = residual * shape.width / between
    # On the CPU torch composes RMSNorm of operations in float32, which keep the input and the normalised input.
    norm = 8 * shape.width / between if device == "cpu" else handed_on
    keys = shape.width * shape.kv_heads / shape.heads
    # Queries and the attended, keys, values; Ulysses keeps the attended before and after the exchange.
    attention = ((3 if ulysses else 2) * shape.width + 2 * keys) / tp
    # Megatron keeps the positions of a matrix's input sharded (section 4.2.2); torch's plan keeps them gathered.
    inputs = (3 if autocast else 1) * shape.width
    # The norms' and the attention's statistics, in float32.
    statistics = 2 * 4 / between + 4 * shape.heads / tp
    network = _network(shape, layout, computed, 2 if autocast else 1)
    inside = 2 * norm + computed * (attention + inputs) + statistics + network

    classes = shape.classes / (tp if layout.loss_parallel else 1)
    # The loss is computed in float32: of the logits it keeps the log-softmax, and its gradient is as large.
    last = norm + computed * shape.width + (computed + 4 + 4) * classes
    rotation = 2 * 4 * shape.width / shape.heads
    return Kept(
        inside=round(tokens * inside),
        block=round(tokens * (handed_on if layout.activation_checkpointing else inside)),
        first=round(tokens * (8 + rotation)),
        last=round(tokens * last),
        boundary=round(tokens * handed_on),
    )


def _network(shape: ModelShape, layout: ParallelDims, computed: int, casts: int) -> float:
    """Bytes of a token in the feed-forward network or, as many as it takes, in the experts of a mixture.

    The ranks that share experts are taken to get equally many tokens each.

    Args:
        computed: bytes of an element; casts: copies of the input that the network's first two matrices keep.
    """
    # The gate before and after its activation, the other branch, their product.
    branches = 4 * shape.feed_forward / layout.tp
    one = computed * (branches + casts * shape.width)
    if not shape.chosen:
        return one
    # Of a choice: what the expert says, its weight (in float32 too, where computed in less), and the indices of the
    # choice, of the tokens by expert, and of the way back; twice more where tokens go to other ranks.
    weight = 4 if computed == 4 else 4 + computed
    indices = 8 * (3 if layout.ep == 1 else 5)
    # The router's input and its scores.
    router = computed * (shape.width + shape.experts)
    return router + shape.chosen * (one + computed * shape.width + weight + indices)
