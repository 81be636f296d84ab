"""Messages between a worker group and its driver: reports one way, commands the other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol


class WorkerCommand(IntFlag):
    """Command that all ranks follow at the same step.

    REPORT: compute the global loss and report it. LEAVE: write a checkpoint and end.
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
        nodes: Ray's ids of the nodes that the workers are on; empty outside Ray.
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
class Heartbeat:
    """A step was made. Sent often, so that it is known how far a lost group had come."""

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


Report = StepReport | Started | Heartbeat | Saved


class DriverLink(Protocol):
    """The first rank's connection to its driver."""

    def send(self, report: Report) -> None:
        """Sends a report, without waiting."""

    def standing_command(self) -> WorkerCommand:
        """Returns the command that stands; may wait some seconds."""
