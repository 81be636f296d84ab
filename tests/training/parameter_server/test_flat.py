"""A model over flat buffers is still the model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.parameter_server.failures import ParameterServerError
from app.training.parameter_server.flat import FlatModel, build
from app.training.recipe import Data
from tests.recipes.bytelm.support import prose
from tests.support.tiny import TinyConfig, TinyRecipe


def test_views_in_the_order_of_the_names() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    plain = {name: value.detach().clone() for name, value in module.named_parameters()}
    flat = FlatModel(module)
    assert torch.equal(flat.parameters, torch.cat([value.flatten() for value in plain.values()]))
    flat.parameters.mul_(2)
    for name, value in module.state_dict().items():
        assert torch.equal(value, plain[name] * 2)


def test_gradients_are_written_in_place() -> None:
    flat = FlatModel(nn.Linear(2, 1))
    for _ in range(2):
        flat.gradients.zero_()
        flat.module(torch.tensor([[3.0, 4.0]])).sum().backward()
    assert flat.gradients.tolist() == [3.0, 4.0, 1.0]


def test_frozen_parameters_stay_out() -> None:
    module = nn.Linear(2, 1)
    module.bias.requires_grad_(False)
    assert FlatModel(module).parameters.shape == (2,)


def test_a_buffer_that_training_changes_is_refused() -> None:
    flat = FlatModel(nn.BatchNorm1d(2))
    before = flat.snapshot()
    flat.refuse_changes(before)
    flat.module(torch.rand(4, 2))
    with pytest.raises(ParameterServerError, match="training changes the buffer running_mean"):
        flat.refuse_changes(before)


@pytest.mark.parametrize(
    ("module", "message"),
    [(nn.ReLU(), "no parameters to train"), (nn.Linear(1, 1).double(), "parameter weight is torch.float64")],
)
def test_model_without_float32_parameters_is_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(ParameterServerError, match=message):
        FlatModel(module)


def test_experts_that_are_balanced_are_refused() -> None:
    recipe = ByteLMRecipe(ByteLMConfig(size="3m-a1m", sequence=16))
    with pytest.raises(ParameterServerError, match="recipe = 'bytelm' balances its experts by their loads"):
        build(recipe, prose(sequence=16, words=10), 0)
    recipe.size = replace(recipe.size, balance_rate=0.0)
    assert build(recipe, prose(sequence=16, words=10), 0).parameters.shape == (recipe.size.parameters,)


def test_every_process_builds_the_same() -> None:
    recipe = TinyRecipe(TinyConfig())
    data: Data = recipe.prepare()
    first, again, other = (build(recipe, data, seed).parameters for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
