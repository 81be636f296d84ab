"""How a running loop tells its driver where it is: a small actor that the first rank writes to and the driver drains.

``ray.train.report`` waits for the controller's poll (2 s) on every rank and is kept for checkpoints.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import ray

CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class StepReport:
    """One logged step: loss over the global batch and rows per second since the report before."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    rows_per_s: float


@dataclass(frozen=True, slots=True)
class Started:
    """A worker group began to train at ``step``; not the first one of a run: it goes on from a checkpoint."""

    step: int
    workers: int
    pids: tuple[int, ...]
    device: str


Report = StepReport | Started


class Monitor:
    """A bounded queue of reports. The oldest are dropped, and counted, when nobody drains it."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._reports: deque[Report] = deque(maxlen=capacity)
        self._dropped = 0

    def tell(self, report: Report) -> None:
        """Add a report."""
        self._dropped += len(self._reports) == self._reports.maxlen
        self._reports.append(report)

    def drain(self) -> tuple[list[Report], int]:
        """Every report since the last call, oldest first, and how many were dropped so far."""
        found = list(self._reports)
        self._reports.clear()
        return found, self._dropped


def start_monitor() -> Any:
    """A monitor actor on the driver's cluster; it ends with the driver."""
    return ray.remote(num_cpus=0)(Monitor).remote()
