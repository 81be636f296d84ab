"""Parts of a model by pipeline rank. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.training.config.parallel_dims import V_SHAPED, ParallelDims


def stages_of(rank: int, layout: ParallelDims) -> tuple[int, ...]:
    """The stages that pipeline rank ``rank`` holds: every pp-th, or for a V-shaped schedule one and its mirror
    image (Qi et al. 2024, "Zero Bubble Pipeline Parallelism", section 6)."""
    pp = layout.pp
    if layout.schedule in V_SHAPED:
        return rank, 2 * pp - 1 - rank
    return tuple(range(rank, layout.stages, pp))


def cut(chain: Sequence[str], blocks: Sequence[str], stages: int) -> tuple[tuple[str, ...], ...]:
    """Modules of each stage: blocks as evenly as can be, the earlier stages taking one more. What comes before
    the first block joins the first stage, anything else the block before it."""
    size, more = divmod(len(blocks), stages)
    starts = {blocks[stage * size + min(stage, more)] for stage in range(1, stages)}
    parts: list[list[str]] = [[]]
    for name in chain:
        if name in starts:
            parts.append([])
        parts[-1].append(name)
    return tuple(tuple(part) for part in parts)
