"""A cut optimizer is the whole one."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.optim import AdamW

from app.training.optimizer import ADAMW
from app.training.parameter_server.ranges import cut
from app.training.parameter_server.shard import Shard

LARGEST = 0.5


def test_two_shards_follow_adamw_over_the_tensors() -> None:
    """Tolerance: 1e-6 relative, float32 rounding of the clipped gradient; the cut goes through a tensor."""
    random = torch.Generator().manual_seed(0)
    tensors = [nn.Parameter(torch.randn(shape, generator=random)) for shape in ((3, 4), (5,))]
    values = torch.cat([tensor.detach().flatten() for tensor in tensors]).numpy().copy()
    ranges = cut(len(values), 2)
    shards = [Shard(values[place.positions], ADAMW, weight_decay=0.1) for place in ranges]
    plain = AdamW(tensors, weight_decay=0.1)
    for step in range(5):
        rate = 0.1 / (step + 1)
        parts = [torch.randn(len(values), generator=random).numpy() for _ in range(3)]
        squares = [
            shard.average([part[place.positions] for part in parts])
            for shard, place in zip(shards, ranges, strict=True)
        ]
        norm = float(np.sqrt(sum(squares)))
        for shard in shards:
            shard.step(norm, LARGEST, rate)
        mean = torch.from_numpy(np.mean(parts, axis=0))
        for tensor, gradient in zip(tensors, mean.split([12, 5]), strict=True):  # type: ignore[no-untyped-call]
            tensor.grad = gradient.view(tensor.shape).clone()
        wanted = nn.utils.clip_grad_norm_(tensors, LARGEST)
        plain.param_groups[0]["lr"] = rate
        plain.step()
        np.testing.assert_allclose(norm, float(wanted), rtol=1e-6)
    found = np.concatenate([shard.values for shard in shards])
    np.testing.assert_allclose(found, torch.cat([tensor.detach().flatten() for tensor in tensors]), rtol=1e-6)


def test_a_restored_shard_goes_on_bit_equal() -> None:
    first = Shard(np.ones(4, np.float32), ADAMW, weight_decay=0.1)
    second = Shard(np.zeros(4, np.float32), ADAMW, weight_decay=0.1)
    gradient = np.arange(4, dtype=np.float32)
    for shard, copy in ((first, True), (second, False)):
        if not copy:
            shard.restore(first.state())
        shard.average([gradient])
        shard.step(1.0, 1.0, 0.1)
    third = Shard(np.zeros(4, np.float32), ADAMW, weight_decay=0.1)
    third.restore(second.state())
    assert np.array_equal(third.values, second.values)
