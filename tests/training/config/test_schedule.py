"""Rows of a rank at each step: the same samples in the same order, however many ranks share them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.training.config.schedule import BatchPlan, dropout_seed, learning_rate


@given(st.integers(8, 200), st.sampled_from([2, 4, 8]), st.integers(1, 3), st.integers(0, 5), st.data())
def test_ranks_share_each_global_batch_without_overlap(
    rows: int, batch: int, epochs: int, seed: int, data: st.DataObject
) -> None:
    plan = BatchPlan(rows, batch, epochs, seed)
    ranks = data.draw(st.sampled_from([ranks for ranks in (1, 2, 4, 8) if batch % ranks == 0]))
    step = data.draw(st.integers(0, plan.steps - 1))
    order = plan.order(plan.epoch_of(step))
    whole = plan.shard(order, step, 0, 1)
    parts = [plan.shard(order, step, rank, ranks) for rank in range(ranks)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(whole) == batch


def test_an_epoch_sees_every_row_at_most_once_and_each_epoch_has_its_own_order() -> None:
    plan = BatchPlan(rows=103, batch_size=10, epochs=2, seed=1)
    seen = [row for step in range(10) for row in plan.shard(plan.order(0), step, 0, 1)]
    assert len(seen) == len(set(seen)) == 100
    assert not np.array_equal(plan.order(0), plan.order(1))
    np.testing.assert_array_equal(plan.order(1), BatchPlan(103, 10, 2, 1).order(1))


def test_the_rate_rises_then_falls_to_nothing() -> None:
    rates = [learning_rate(step, 100, 0.5, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == pytest.approx(0.5) == rates[9] == rates[10]
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001


def test_dropout_differs_between_ranks_and_steps_but_not_between_runs() -> None:
    seeds = {dropout_seed(0, step, rank) for step in range(50) for rank in range(4)}
    assert len(seeds) == 200
    assert dropout_seed(3, 7, 1) == dropout_seed(3, 7, 1)
