"""The purpose of balancing: without it a few experts do all the work. By a plain loop, without the engine."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.parallel.initialization import generator
from tests.recipes.bytelm.support import prose
from tests.recipes.bytelm.test_decoder import MIXTURE


def largest_share(rate: float, steps: int = 40) -> float:
    """The part of a block's choices that its busiest expert got in the last ten steps; of two blocks the larger."""
    recipe, data = ByteLMRecipe(ByteLMConfig(size="3m-a1m", sequence=32)), prose(sequence=32)
    recipe.size = replace(MIXTURE, balance_rate=rate)
    model, plan = recipe.build(data), recipe.parallel_plan(data)
    with torch.no_grad():
        for name, value in model.named_parameters():
            recipe.initialise(name, value, generator(0, name))
    loads: dict[str, list[Tensor]] = {name: [] for name in plan.experts}
    for name, seen in loads.items():
        model.get_submodule(name).register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[1]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batches = (torch.split(torch.tensor(data.train[name]), 16) for name in ("tokens", "targets"))
    for _, tokens, targets in zip(range(steps), *batches, strict=False):
        optimizer.zero_grad()
        recipe.loss(model, {"tokens": tokens, "targets": targets}).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if plan.balance is not None:
            plan.balance(model, {name: seen[-1] for name, seen in loads.items()})
    assert all(len(seen) == steps for seen in loads.values())
    last = [torch.stack(seen[-10:]).sum(0) for seen in loads.values()]
    return max(float(counts.max() / counts.sum()) for counts in last)


def test_balancing_takes_tokens_from_the_busiest_expert() -> None:
    """Two of six experts for each token: half of the choices is one expert for all tokens, a sixth is balance."""
    assert largest_share(rate=0.0) > 0.4
    assert largest_share(rate=0.03) < 0.25
