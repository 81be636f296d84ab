"""Positions of a rank when ranks share a sequence."""

from __future__ import annotations

import pytest
import torch

from app.training.parallel.context_parallel import positions_of, shard_positions


@pytest.mark.parametrize(
    ("ring", "held"),
    [(False, [[0, 1, 2, 3], [4, 5, 6, 7]]), (True, [[0, 1, 6, 7], [2, 3, 4, 5]])],
)
def test_positions_of_a_rank(ring: bool, held: list[list[int]]) -> None:
    assert [positions_of(rank, 2, 8, ring).tolist() for rank in range(2)] == held


def test_under_a_causal_mask_ranks_of_a_ring_have_the_same_work() -> None:
    work = {int((positions_of(rank, 4, 64, ring=True) + 1).sum()) for rank in range(4)}
    assert len(work) == 1


def test_cut_batch_has_its_positions() -> None:
    batch = {"tokens": torch.arange(16).view(2, 8), "targets": torch.arange(16).view(2, 8) + 1}
    here = shard_positions(batch, positions_of(1, 2, 8, ring=False))
    assert here["tokens"].tolist() == [[4, 5, 6, 7], [12, 13, 14, 15]]
    assert here["targets"].tolist() == [[5, 6, 7, 8], [13, 14, 15, 16]]
    assert here["positions"].tolist() == [[4, 5, 6, 7], [4, 5, 6, 7]]
