"""A run with parameter servers, and the part of it that travels to the actors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.training.config.schedule import BatchPlan, learning_rate
from app.training.parameter_server.config import Mode
from app.training.parameter_server.ranges import Range
from app.training.recipe import Data, Recipe
from app.training.shared_data import Shared


@dataclass(frozen=True, slots=True)
class Optimization:
    """The optimizer, its schedule and clipping, as in ``TrainConfig``."""

    learning_rate: float
    warmup_share: float
    weight_decay: float
    clip_norm: float
    optimizer: str = "adamw"


@dataclass(frozen=True, slots=True)
class ServerJob:
    """A run: ``plan.batch_size`` rows a step, in equal parts to ``workers`` processes.

    Attributes:
        checkpoint_every: steps of the slowest worker between checkpoints.
        max_failures: lost workers and servers, together, that the run survives.
        node_labels: of the nodes that servers and workers may run on.
    """

    recipe: Recipe
    data: Data
    plan: BatchPlan
    workers: int
    optimization: Optimization
    checkpoint_every: int
    max_failures: int
    node_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms that servers and workers share.

    Attributes:
        bound: see :class:`app.training.parameter_server.clocks.Clocks`.
        ranges: each server's part of the flat parameters.
        deadline_s: longest wait of a server for a worker.
        folder: of the checkpoints.
    """

    mode: Mode
    bound: int | None
    ranges: tuple[Range, ...]
    plan: BatchPlan
    workers: int
    optimization: Optimization
    checkpoint_every: int
    deadline_s: float
    folder: str

    @property
    def total(self) -> int:
        """Parameters on all servers."""
        return self.ranges[-1].stop

    def learning_rate(self, step: int) -> float:
        """Learning rate of an update that is made from a gradient of ``step``.

        It is the schedule's. Where every worker's gradient is an update of its own, it is divided by the number of
        workers: as many updates as there are workers then move about as far as the one that a synchronous step
        makes of their mean.
        """
        optimization = self.optimization
        rate = learning_rate(step, self.plan.steps, optimization.learning_rate, optimization.warmup_share)
        return rate if self.mode == "synchronous" else rate / self.workers


@dataclass(frozen=True, slots=True)
class Work:
    """Recipe and data that a worker computes gradients from."""

    recipe: Recipe
    data: Shared
