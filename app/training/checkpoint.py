"""A checkpoint's contents: model, optimizer and the next step. Loaded without pickle (``weights_only``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

_FILE = "state.pt"


@dataclass(frozen=True, slots=True)
class Saved:
    """What :func:`load` found."""

    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    next_step: int


def save(folder: Path, model: nn.Module, optimizer: Optimizer, next_step: int) -> None:
    """Write a checkpoint into ``folder``; Ray Train publishes the folder as a whole or not at all."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "next_step": next_step}
    torch.save(state, folder / _FILE)


def load(folder: Path) -> Saved:
    """Read a checkpoint onto the CPU."""
    state = torch.load(folder / _FILE, map_location="cpu", weights_only=True)
    return Saved(state["model"], state["optimizer"], state["next_step"])
