"""A model whose trained parameters and gradients are each one flat buffer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from app.training.parallel.initialization import materialise
from app.training.parameter_server.failures import ParameterServerError
from app.training.recipe import Data, ParallelRecipe, Recipe


class FlatModel:
    """A module on the CPU with its trained parameters as views of ``parameters`` and their gradients as views of
    ``gradients``, both float32 of shape (total,), in the order of ``named_parameters``.

    A parameter that a step does not use has gradient zero (where a plain loop would leave it out).

    Attributes:
        constants: the buffers and the parameters without gradients, by name: every process builds them alike, so they
            are not sent.

    Raises:
        ParameterServerError: nothing to train, or a trained parameter that is not float32.
    """

    def __init__(self, module: nn.Module) -> None:
        trained = {name: value for name, value in module.named_parameters() if value.requires_grad}
        others = {name: value.dtype for name, value in trained.items() if value.dtype != torch.float32}
        if not trained:
            raise ParameterServerError("the recipe's model has no parameters to train")
        if others:
            name, dtype = next(iter(others.items()))
            raise ParameterServerError(f"parameter {name} is {dtype}; accepted is torch.float32")
        self.module = module
        self.parameters = torch.cat([value.detach().flatten() for value in trained.values()])
        self.gradients = torch.zeros_like(self.parameters)
        sizes = [value.numel() for value in trained.values()]
        pieces = zip(torch.split(self.parameters, sizes), torch.split(self.gradients, sizes), strict=True)
        for value, (data, gradient) in zip(trained.values(), pieces, strict=True):
            value.data = data.view(value.shape)
            value.grad = gradient.view(value.shape)
        frozen = {name: value.detach() for name, value in module.named_parameters() if not value.requires_grad}
        self.constants: dict[str, Tensor] = {**dict(module.named_buffers()), **frozen}

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of the constants."""
        return {name: value.clone() for name, value in self.constants.items()}

    def refuse_changes(self, before: dict[str, Tensor]) -> None:
        """Compares the constants with an earlier ``snapshot``.

        Raises:
            ParameterServerError: training changes a buffer (such as BatchNorm's running statistics), which no
                server would hear of.
        """
        for name, value in self.constants.items():
            if not torch.equal(value, before[name]):
                raise ParameterServerError(
                    f"training changes the buffer {name}, which parameter servers do not keep; accepted are "
                    "constant buffers (a norm without running statistics, or another strategy)"
                )


def build(recipe: Recipe, data: Data, seed: int) -> FlatModel:
    """The recipe's model with the initial values that any other layout has with this seed. Sets torch's global
    seed.

    Raises:
        ParameterServerError: see :class:`FlatModel`; the recipe balances experts, whose loads no server adds up.
    """
    if isinstance(recipe, ParallelRecipe):
        if recipe.parallel_plan(data).balance is not None:
            raise ParameterServerError(
                f"recipe = {recipe.name!r} balances its experts by their loads over all workers, which parameter "
                "servers do not keep; accepted is a model that balances none, or another strategy"
            )
        with torch.device("meta"):
            module = recipe.build(data)
        materialise(module, recipe, seed, torch.device("cpu"))
    else:
        torch.manual_seed(seed)
        module = recipe.build(data)
    return FlatModel(module)
