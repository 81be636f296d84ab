"""The network of the flights recipe: embeddings and piecewise linear encodings into a perceptron.

This file travels with the model as a top-level module: it imports nothing of the application.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor, nn


class Shape(TypedDict):
    """Sizes of a network.

    Keys:
        categories: for each categorical input, number of codes and dimensions of the embedding.
        numbers: numeric inputs.
        bins: pieces of the encoding of a number.
        hidden: units of the hidden layers.
        dropout: share of hidden units that are left out in training.
    """

    categories: Sequence[tuple[int, int]]
    numbers: int
    bins: int
    hidden: Sequence[int]
    dropout: float


class FlightsNetwork(nn.Module):
    """Codes and standardised numbers to the logit of being late.

    Each number enters as it is, and by its piecewise linear encoding: for bins with the edges b_0 < b_1 < …, the
    shares of them that lie below it, clamp((x - b_(i-1)) / (b_i - b_(i-1)), 0, 1) (Gorishniy, Rubachev and Babenko,
    On Embeddings for Numerical Features in Tabular Deep Learning, NeurIPS 2022, section 3.2).
    """

    edges: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        embeddings = [nn.Embedding(codes, width) for codes, width in shape["categories"]]
        for embedding in embeddings:
            nn.init.normal_(embedding.weight, std=0.1)
        self.embeddings = nn.ModuleList(embeddings)
        self.register_buffer("edges", torch.zeros(shape["numbers"], shape["bins"] + 1))
        width = sum(width for _, width in shape["categories"]) + shape["numbers"] * (shape["bins"] + 1)
        layers: list[nn.Module] = []
        for units in shape["hidden"]:
            layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(shape["dropout"])]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, categories: Tensor, numbers: Tensor) -> Tensor:
        """Logits, shape (rows,).

        Args:
            categories: int64, shape (rows, categories).
            numbers: float32, shape (rows, numbers).
        """
        embedded = [embedding(categories[:, column]) for column, embedding in enumerate(self.embeddings)]
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        # Many rows on one value make bins without width: those become a step.
        pieces = ((numbers.unsqueeze(-1) - low) / (high - low).clamp(min=1e-3)).clamp(0.0, 1.0)
        logits: Tensor = self.layers(torch.cat([*embedded, numbers, pieces.flatten(1)], dim=1))
        return logits.squeeze(-1)
