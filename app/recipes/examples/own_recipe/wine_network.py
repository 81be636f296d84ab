"""The network, in plain PyTorch. This file travels with the model, so it imports nothing of the application."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WineNetwork(nn.Module):
    """Two layers over standardised measurements.

    Args:
        mean, scale: of each measurement in the training rows, shape (measurements,).
        classes: number of growers.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, hidden: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)  # buffers are stored with the weights
        self.register_buffer("scale", scale)
        self.layers = nn.Sequential(nn.Linear(len(mean), hidden), nn.ReLU(), nn.Linear(hidden, classes))

    @classmethod
    def empty(cls, measurements: int, hidden: int, classes: int) -> WineNetwork:
        """A network of these sizes whose state is loaded afterwards."""
        return cls(torch.zeros(measurements), torch.ones(measurements), hidden, classes)

    def forward(self, measurements: Tensor) -> Tensor:
        """Logits, shape (rows, classes), of measurements, shape (rows, measurements), float32."""
        logits: Tensor = self.layers((measurements - self.mean) / self.scale)
        return logits
