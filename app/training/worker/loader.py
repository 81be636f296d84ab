"""A rank's batches, addressed by step: the position is one integer, and any rank can go on from any step."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.training.config.schedule import BatchPlan
from app.training.recipe import Columns


class Loader:
    """The rows of one data-parallel rank. Ranks that differ only in pp, cp or tp load the same rows."""

    def __init__(self, columns: Columns, plan: BatchPlan, dp_rank: int, dp_ranks: int, device: torch.device) -> None:
        self._columns, self._plan, self._device = columns, plan, device
        self._dp_rank, self._dp_ranks = dp_rank, dp_ranks
        self._epoch = -1
        self._order: NDArray[np.int64] = np.empty(0, np.int64)

    def batch(self, step: int) -> dict[str, Tensor]:
        """This rank's part of the global batch of ``step``: by column name, first dimension batch_size / dp."""
        epoch = self._plan.epoch_of(step)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._plan.order(epoch)
        rows = self._plan.shard(self._order, step, self._dp_rank, self._dp_ranks)
        return {name: torch.from_numpy(array[rows]).to(self._device) for name, array in self._columns.items()}
