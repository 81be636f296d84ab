"""Rows of each rank at each step, and the learning rate. Pure functions of seed and step: a run that goes on from a
checkpoint sees the same samples in the same order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The steps of a run.

    Attributes:
        rows: training rows.
        batch_size: rows per step over all ranks; what is left of an epoch after full batches is not used.
        epochs: passes over the rows, each in an order of its own.
    """

    rows: int
    batch_size: int
    epochs: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in an epoch."""
        return self.rows // self.batch_size

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def epoch_of(self, step: int) -> int:
        """The epoch, from 0, that a step belongs to."""
        return step // self.steps_per_epoch

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The order of the rows in an epoch, shape (rows,)."""
        return np.random.default_rng((self.seed, epoch)).permutation(self.rows)

    def shard(self, order: NDArray[np.int64], step: int, rank: int, ranks: int) -> NDArray[np.int64]:
        """Rows of a rank at a step: its contiguous part of the global batch, shape (batch_size / ranks,)."""
        local = self.batch_size // ranks
        start = (step % self.steps_per_epoch) * self.batch_size + rank * local
        return order[start : start + local]


def learning_rate(step: int, steps: int, peak: float, warmup_share: float) -> float:
    """Linear warm-up to ``peak``, then half a cosine to zero (Loshchilov and Hutter 2017, SGDR, eq. 5)."""
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def dropout_seed(seed: int, step: int, rank: int) -> int:
    """Seed of torch's generator for one step of one rank: nothing random needs to be in a checkpoint."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)
