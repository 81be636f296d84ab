"""One server's range of the flat parameters, with the optimizer's state for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.training.optimizer import OptimizerKind

Floats = NDArray[np.float32]


class Shard:
    """A range of the parameters with its optimizer, which is elementwise: a range behaves as the tensors that it cuts
    through would. Not safe for concurrent use.

    Args:
        values: initial parameters, float32, shape (length,); copied.
    """

    def __init__(self, values: Floats, optimizer: OptimizerKind, weight_decay: float) -> None:
        self._parameters = nn.Parameter(torch.tensor(values))
        self._parameters.grad = torch.zeros_like(self._parameters)
        self._optimizer = optimizer.build([{"params": [self._parameters]}], 0.0, weight_decay)

    @property
    def values(self) -> Floats:
        """The parameters in place: the next ``step`` changes them."""
        values: Floats = self._parameters.detach().numpy()
        return values

    def average(self, gradients: Sequence[Floats]) -> float:
        """Takes the mean of ``gradients``, added up in the order given, as the gradient of the next step.

        Returns:
            The sum of its squares, in double precision.
        """
        mean = self._gradient.numpy()
        np.copyto(mean, gradients[0])
        for gradient in gradients[1:]:
            mean += gradient
        if len(gradients) > 1:
            mean /= len(gradients)
        return float(torch.linalg.vector_norm(self._gradient, dtype=torch.float64) ** 2)

    def step(self, norm: float, largest: float, learning_rate: float) -> None:
        """Updates by the gradient taken last.

        Args:
            norm: of the whole gradient, all servers' ranges together; above ``largest`` the gradient is scaled down
                to it, as ``torch.nn.utils.clip_grad_norm_`` does.
        """
        self._gradient.mul_(min(1.0, largest / (norm + 1e-6)))
        self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.step()

    def state(self) -> dict[str, Any]:
        """Returns the argument of :meth:`restore`: plain values and tensors that share memory with this shard."""
        return {"parameters": self._parameters.detach(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a ``state``."""
        with torch.no_grad():
            self._parameters.copy_(state["parameters"])
        self._optimizer.load_state_dict(state["optimizer"])

    @property
    def _gradient(self) -> torch.Tensor:
        gradient = self._parameters.grad
        assert gradient is not None
        return gradient
