"""Tensors by the mesh that they are distributed over: only those of one mesh can be computed with together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from torch import Tensor
from torch.distributed.tensor import DTensor

T = TypeVar("T", bound=Tensor)


def by_mesh(tensors: Iterable[T]) -> list[list[T]]:
    """Groups of tensors that share a mesh, or that are plain, in order of appearance."""
    groups: dict[object, list[T]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.device_mesh if isinstance(tensor, DTensor) else None, []).append(tensor)
    return list(groups.values())
