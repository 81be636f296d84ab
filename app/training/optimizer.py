"""Optimizers. All that training needs to know of one stands in its ``OptimizerKind``.

The loop builds it, checkpoints store its states by name, parameter servers run it on ranges of the parameters, the
dry run counts its bytes, and a configuration is checked against what it refuses. Another optimizer is an
``OptimizerKind`` in a module of one's own, which the field ``optimizer`` names as ``package.module:NAME``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from app.training.config.parallel_dims import ParallelDims
from app.training.config.train_config import ConfigError

ParameterGroups = list[dict[str, Any]]
_STATE_BYTES = 4
"""Bytes of an element of a state: float32, as the parameters."""


@dataclass(frozen=True, slots=True)
class OptimizerKind:
    """One kind of optimizer.

    Attributes:
        build: makes torch's optimizer from parameter groups, learning rate and weight decay.
        states: names, in torch's ``optimizer.state[parameter]``, of its float32 tensors of the parameter's shape.
            Each is placed as its parameter is, whatever the layout.
        counts_steps: it also keeps the scalar ``step``.
        elementwise: the update of an element depends on no other element of its tensor, so that tensors may be cut.
    """

    name: str
    build: Callable[[ParameterGroups, float, float], Optimizer]
    states: tuple[str, ...]
    counts_steps: bool
    elementwise: bool = True

    @property
    def state_bytes(self) -> int:
        """Bytes of all states for one element of the parameters."""
        return _STATE_BYTES * len(self.states)

    def layout_errors(self, layout: ParallelDims) -> Iterator[str]:
        """Yields a sentence for each degree that the optimizer refuses."""
        if self.elementwise:
            return
        for name in ("dp_shard", "tp", "ep"):
            size = getattr(layout, name)
            if size > 1:
                yield (
                    f"optimizer = {self.name!r}: it updates whole tensors, which {name} = {size} cuts; "
                    f"accepted is {name} = 1, or an elementwise optimizer such as adamw"
                )

    def server_errors(self) -> Iterator[str]:
        """Yields a sentence if the optimizer cannot run on parameter servers, which hold ranges of tensors."""
        if not self.elementwise:
            yield (
                f"optimizer = {self.name!r}: it updates whole tensors, which parameter servers cut; "
                "accepted is strategy: collective, or an elementwise optimizer such as adamw"
            )


class RankOptimizer:
    """The optimizer of one rank's parameters, with all states present from the start.

    Args:
        groups: parameters by mesh (``DistributedModel.parameter_groups``).
    """

    def __init__(
        self, kind: OptimizerKind, groups: ParameterGroups, learning_rate: float, weight_decay: float
    ) -> None:
        self._kind = kind
        self._optimizer = kind.build(groups, learning_rate, weight_decay)
        self.prepare(0)

    def prepare(self, step: int) -> None:
        """Resets to the state after ``step`` steps, with tensors of zeros, which a checkpoint then fills."""
        for group in self._optimizer.param_groups:
            for parameter in group["params"]:
                state: dict[str, Tensor] = {name: torch.zeros_like(parameter) for name in self._kind.states}
                if self._kind.counts_steps:
                    state = {"step": torch.tensor(float(step)), **state}
                self._optimizer.state[parameter] = state

    def states(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """Returns a parameter's states by name, in place."""
        state = self._optimizer.state[parameter]
        return {name: state[name] for name in self._kind.states}

    def set_learning_rate(self, rate: float) -> None:
        """Sets the learning rate of the next step."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def zero_grad(self) -> None:
        """Drops the gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Updates the parameters by their gradients."""
        self._optimizer.step()


ADAMW = OptimizerKind(
    name="adamw",
    build=lambda groups, learning_rate, weight_decay: AdamW(groups, lr=learning_rate, weight_decay=weight_decay),
    states=("exp_avg", "exp_avg_sq"),
    counts_steps=True,
)
"""AdamW (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization")."""
OPTIMIZERS = {ADAMW.name: ADAMW}


def find_optimizer(name: str) -> OptimizerKind:
    """Returns a shipped optimizer by name, or one's own by ``package.module:NAME``.

    Raises:
        ConfigError: there is no such optimizer.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        if name in OPTIMIZERS:
            return OPTIMIZERS[name]
        accepted = ", ".join(OPTIMIZERS)
        raise ConfigError(f"optimizer = {name!r}: accepted are {accepted}, or package.module:NAME of your own")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"optimizer = {name!r}: {error}") from error
    if not isinstance(found, OptimizerKind):
        raise ConfigError(f"optimizer = {name!r}: it is a {type(found).__name__}; accepted is an OptimizerKind")
    return found
