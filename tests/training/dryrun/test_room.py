"""A run that does not fit is refused with a sentence that says what needs most and what would need less."""

from __future__ import annotations

import re

import pytest

from app.training.config.parallel_dims import ParallelDims
from app.training.dryrun import Estimate, RankMemory, memory_errors

GIB = 2**30


def with_memory(
    layout: ParallelDims, own: int = 1, activations: int = 1, gathered: int = 1, rows: int = 4
) -> Estimate:
    """Two pipeline ranks, of which the second needs a little more. In GiB; the optimizer needs twice ``own``."""
    held = own * GIB
    first = RankMemory(0, 0, (0,), held, held, 2 * held, activations * GIB, gathered * GIB)
    second = RankMemory(1, 4, (1,), held, held, 2 * held, activations * GIB + 1, gathered * GIB)
    return Estimate(layout, 1, rows, (first, second))


def test_estimate_that_fits_is_accepted() -> None:
    assert not list(memory_errors(with_memory(ParallelDims()), 6.1))


@pytest.mark.parametrize(
    ("estimate", "sentence"),
    [
        (
            with_memory(ParallelDims(dp_shard=4), own=30),
            "with dp_shard=4 rank 4 needs 122.0 GiB .*use more dp_shard, tp or pp$",
        ),
        (
            with_memory(ParallelDims(), activations=90),
            "use activation_checkpointing or a smaller batch_size or more accumulation or more cp or tp$",
        ),
        (
            with_memory(
                ParallelDims(pp=2, schedule="1F1B", microbatches=2, activation_checkpointing=True),
                activations=90,
                rows=1,
            ),
            "use more cp or tp$",
        ),
        (
            with_memory(ParallelDims(dp_shard=2, accumulation=2), gathered=90),
            "use more tp or accumulation = 1$",
        ),
        (
            with_memory(ParallelDims(dp_shard=4, ep=2), own=30, activations=90, gathered=90, rows=1),
            "use more dp_shard or pp and activation_checkpointing or more cp and more ep$",
        ),
        (
            with_memory(ParallelDims(), own=30, activations=90, rows=1),
            "use more dp_shard, tp or pp and activation_checkpointing or more cp or tp$",
        ),
    ],
)
def test_estimate_that_does_not_fit_is_refused(estimate: Estimate, sentence: str) -> None:
    (line,) = memory_errors(estimate, 80)
    assert line.startswith("device_memory_gib = 80: ")
    assert re.search(sentence, line), line
