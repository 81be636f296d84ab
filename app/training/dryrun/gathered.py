"""Weights and gradients beyond a rank's own: gathered from its peers, cast, or not yet reduced. An estimate. Pure.

Read in torch 2.13, ``torch/distributed/fsdp/_fully_shard`` and ``torch/distributed/pipelining/stage.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.training.config.parallel_dims import ParallelDims
from app.training.dryrun.held import Stage

_REDUCED = 4
"""Bytes of an element of a gradient on its way to its owner: float32 whatever the computation."""


def gathered(stages: Sequence[Stage], layout: ParallelDims) -> int:
    """Bytes of what FSDP2 has gathered or not reduced yet when most is held."""
    if not layout.uses_fsdp2:
        return 0
    computed = 2 if layout.precision == "bfloat16" else 4
    whole = sum(stage.whole for stage in stages)
    outside = whole - sum(stage.in_blocks for stage in stages)
    largest = max(stage.largest_block for stage in stages)
    pipeline = layout.pp > 1
    # The block at work and, of shards, the buffer in which the next one arrives. Where nothing is sharded FSDP2 still
    # computes with copies, and drops them in the backward pass as gradients take their place.
    at_once = outside + largest * (2 if layout.dp_shard > 1 else 1)
    if pipeline:  # a stage's weights serve all microbatches
        at_once = whole
    if pipeline or layout.accumulation > 1:
        # Gradients are reduced after the last part only: until then they are whole.
        return computed * (at_once + largest) + _REDUCED * whole
    # A block's gradients as computed, and the buffer from which they are reduced.
    return computed * (at_once + largest) + _REDUCED * largest


def cast(stage: Stage, layout: ParallelDims) -> int:
    """Bytes of the weights in bfloat16 that autocast makes for one microbatch: its cache holds them until the forward
    pass ends, and without activation checkpointing the backward pass needs them too."""
    return 0 if layout.precision == "float32" or layout.uses_fsdp2 else 2 * stage.whole
