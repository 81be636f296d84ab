"""The count of operations, held against those that torch dispatches."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.recipe import Data


def test_flops_per_row_are_those_of_a_forward_and_a_backward_pass() -> None:
    """On the meta device attention is two plain products, each counted in full."""
    recipe, data = ByteLMRecipe(ByteLMConfig(sequence=128)), Data({}, {}, "none")
    with torch.device("meta"):
        model = recipe.build(data)
        batch = {name: torch.zeros(2, 128, dtype=torch.uint8) for name in ("tokens", "targets")}
    with FlopCounterMode(display=False) as counter:
        recipe.loss(model, batch).backward()  # type: ignore[no-untyped-call]
    per_row = recipe.spread_plan(data).flops_per_row
    assert per_row == pytest.approx(counter.get_total_flops() / 2, rel=0.01)
