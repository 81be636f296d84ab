"""Bytes of a rank beyond its own weights and gradients, in elements of a model that is easy to count."""

from __future__ import annotations

import pytest

from app.training.config.parallel_dims import ParallelDims
from app.training.dryrun.gathered import cast, gathered
from app.training.dryrun.held import Stage

STAGE = Stage(index=0, kept=260, whole=1040, blocks=10, in_blocks=1000, largest_block=100)
"""40 parameters outside of 10 blocks with 100 each, over four shards."""
FSDP = ParallelDims(dp_shard=4)


@pytest.mark.parametrize(
    ("layout", "elements"),
    [
        (ParallelDims(), 0),
        (ParallelDims(dp_replicate=4), 0),  # DDP works on the weights themselves
        # What is outside, two blocks; the gradients of one, twice.
        (FSDP, 4 * (40 + 200 + 100) + 4 * 100),
        (FSDP.model_copy(update={"precision": "bfloat16"}), 2 * (40 + 200 + 100) + 4 * 100),
        (ParallelDims(dp_replicate=4, data_parallel="fsdp2"), 4 * (40 + 100 + 100) + 4 * 100),
        # All gradients, until the last part.
        (FSDP.model_copy(update={"accumulation": 2, "precision": "bfloat16"}), 2 * (40 + 200 + 100) + 4 * 1040),
        # All weights too.
        (
            ParallelDims(pp=2, dp_shard=4, schedule="1F1B", microbatches=2, precision="bfloat16"),
            2 * (1040 + 100) + 4 * 1040,
        ),
    ],
)
def test_gathered_bytes(layout: ParallelDims, elements: int) -> None:
    assert gathered([STAGE], layout) == elements


def test_autocast_copies_the_weights_and_fsdp_casts_what_it_gathers() -> None:
    assert cast(STAGE, ParallelDims(precision="bfloat16")) == 2 * 1040
    assert cast(STAGE, FSDP.model_copy(update={"precision": "bfloat16"})) == 0
    assert cast(STAGE, ParallelDims()) == 0
