"""A batch is a function of the step and the data-parallel rank."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.training.config.schedule import BatchPlan
from app.training.worker.loader import Loader

COLUMNS = {"x": np.arange(50, dtype=np.int64), "y": np.arange(50, dtype=np.float32) / 2}
PLAN = BatchPlan(rows=50, batch_size=12, epochs=3, seed=4)
CPU = torch.device("cpu")


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_the_ranks_together_see_the_same_rows_in_the_same_order(ranks: int) -> None:
    whole = Loader(COLUMNS, PLAN, 0, 1, CPU)
    parts = [Loader(COLUMNS, PLAN, rank, ranks, CPU) for rank in range(ranks)]
    for step in range(PLAN.steps):
        batch = whole.batch(step)
        torch.testing.assert_close(torch.cat([part.batch(step)["x"] for part in parts]), batch["x"])
        torch.testing.assert_close(batch["y"], batch["x"] / 2)


def test_any_step_can_be_the_next() -> None:
    forward, back = Loader(COLUMNS, PLAN, 1, 2, CPU), Loader(COLUMNS, PLAN, 1, 2, CPU)
    seen = {step: forward.batch(step)["x"] for step in range(PLAN.steps)}
    for step in (11, 0, 7, 3, 10):
        assert torch.equal(back.batch(step)["x"], seen[step])
