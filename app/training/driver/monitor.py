"""How a running loop and its driver talk: a small actor that takes reports one way and orders the other.

``ray.train.report`` waits for the controller's poll (2 s) on every rank and is not used.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, Protocol

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

CAPACITY = 10_000
ANSWER_TIMEOUT_S = 10.0


class Order(IntFlag):
    """What all ranks do at the same step.

    REPORT: compute the global loss and tell it. LEAVE: write a checkpoint and end.
    """

    NONE = 0
    REPORT = 1
    LEAVE = 2


@dataclass(frozen=True, slots=True)
class StepReport:
    """One logged step: loss over the global batch, rows per second since the report before, and seconds since then
    that the step waited for a checkpoint."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    rows_per_s: float
    stall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Started:
    """A worker group is ready to train from ``step``.

    Attributes:
        nodes: Ray's ids of the nodes that the workers are on.
        device: the first rank's, with its name as the vendor gives it.
    """

    step: int
    workers: int
    layout: str
    pids: tuple[int, ...]
    nodes: tuple[str, ...]
    device: str
    device_name: str = ""


@dataclass(frozen=True, slots=True)
class Beat:
    """A step was made; told often, so that it is known how far a lost group had come."""

    step: int


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint is complete.

    Attributes:
        stall_s: seconds that the training loop waited for it; write_s: seconds until it was complete.
    """

    step: int
    stall_s: float
    write_s: float


Report = StepReport | Started | Beat | Saved


class Monitor:
    """A bounded queue of reports, of which the oldest are dropped, and counted, when nobody drains it; and an order
    that stands until it is taken back."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._reports: deque[Report] = deque(maxlen=capacity)
        self._dropped = 0
        self._order = Order.NONE

    def tell(self, report: Report) -> None:
        """Add a report."""
        self._dropped += len(self._reports) == self._reports.maxlen
        self._reports.append(report)

    def drain(self) -> tuple[list[Report], int]:
        """Every report since the last call, oldest first, and how many were dropped so far."""
        found = list(self._reports)
        self._reports.clear()
        return found, self._dropped

    def order(self, order: Order) -> None:
        """What the loop is to do from now on."""
        self._order = order

    def standing_order(self) -> Order:
        """The order that stands."""
        return self._order


class Link(Protocol):
    """A loop's side of it."""

    def tell(self, report: Report) -> None:
        """Send a report, without waiting."""

    def standing_order(self) -> Order:
        """The order that stands; may wait some seconds."""


@dataclass(frozen=True, slots=True)
class MonitorLink:
    """The link to a monitor actor."""

    actor: Any

    def tell(self, report: Report) -> None:
        """Send a report."""
        self.actor.tell.remote(report)

    def standing_order(self) -> Order:
        """Ask for the order that stands; none where there is no answer: the driver's end ends this process too."""
        try:
            order: Order = ray.get(self.actor.standing_order.remote(), timeout=ANSWER_TIMEOUT_S)
        except (RayError, TimeoutError):
            return Order.NONE
        return order


def start_monitor(name: str) -> Any:
    """A monitor actor on the driver's node, which outlives the workers'; it ends with the driver.

    Args:
        name: of the run. There is one at a time on a cluster.

    Raises:
        ValueError: a monitor of that name exists: the run is going on already.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0)(Monitor).options(name=f"train/{name}", scheduling_strategy=here).remote()
