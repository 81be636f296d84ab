"""Bytes that autograd keeps of a forward pass: counted, not computed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def saved_bytes(model: nn.Module, forward: Callable[[], Tensor]) -> int:
    """Bytes of the tensors that ``forward`` keeps for its backward pass, each storage once, ``model``'s own not.

    Works on the meta device too, where nothing is allocated.
    """
    own = {value.untyped_storage()._cdata for value in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # held, so that no other storage gets its address
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        output = forward()
    del output
    return sum(storage.nbytes() for storage in kept.values())
