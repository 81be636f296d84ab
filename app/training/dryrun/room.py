"""Comparison of an estimate with the memory of a device. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from app.training.config.parallel_dims import ParallelDims
from app.training.dryrun.estimate import Estimate

GIB = 2**30


def memory_errors(estimate: Estimate, device_memory_gib: float) -> Iterator[str]:
    """Yields a sentence if the fullest rank needs more than a device has, with what would need less."""
    rank = estimate.fullest
    if rank.total <= device_memory_gib * GIB:
        return
    needs = {
        "weights, gradients and optimizer": rank.parameters + rank.gradients + rank.optimizer,
        "activations": rank.activations,
        "what is gathered": rank.gathered,
    }
    largest = max(needs, key=lambda part: needs[part])
    alone = [part for part, size in needs.items() if size > device_memory_gib * GIB]
    advice = " and ".join(_advice(part, estimate) for part in alone or [largest])
    parts = ", ".join(f"{size / GIB:.1f} GiB for {part}" for part, size in needs.items())
    yield (
        f"device_memory_gib = {device_memory_gib:g}: with {estimate.layout} rank {rank.rank} needs "
        f"{rank.total / GIB:.1f} GiB ({parts}); use {advice}"
    )


def _advice(part: str, estimate: Estimate) -> str:
    layout = estimate.layout
    # Experts are not cut by tp.
    tp = layout.ep == 1
    if part == "activations":
        return " or ".join(_fewer_activations(layout, estimate.rows))
    if part == "what is gathered":
        # Both keep weights and gradients whole until the last part has been computed.
        whole = [name for name, used in (("accumulation", layout.accumulation), ("pp", layout.pp)) if used > 1]
        return " or ".join(["more tp" if tp else "more ep", *(f"{name} = 1" for name in whole)])
    return "more dp_shard, tp or pp" if tp else "more dp_shard or pp"


def _fewer_activations(layout: ParallelDims, rows: int) -> Iterator[str]:
    if not layout.activation_checkpointing:
        yield "activation_checkpointing"
    if rows > 1:
        yield "a smaller batch_size"
        yield "more microbatches" if layout.pp > 1 else "more accumulation"
    yield "more cp or tp" if layout.ep == 1 else "more cp"
