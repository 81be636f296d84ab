"""The count of operations, held against those that torch dispatches."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.recipe import Data


@pytest.mark.parametrize("size", ["1m", "3m-a1m"])
def test_flops_per_row_are_those_of_a_forward_and_a_backward_pass(size: str) -> None:
    """Attention as two plain products, each counted in full."""
    recipe, data = ByteLMRecipe(ByteLMConfig(size=size, sequence=128)), Data({}, {}, "none")
    model = recipe.build(data)
    batch = {name: torch.zeros(2, 128, dtype=torch.uint8) for name in ("tokens", "targets")}
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        recipe.loss(model, batch).backward()  # type: ignore[no-untyped-call]
    per_row = recipe.parallel_plan(data).flops_per_row
    assert per_row == pytest.approx(counter.get_total_flops() / 2, rel=0.01)
