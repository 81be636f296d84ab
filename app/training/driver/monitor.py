"""The actor between a driver and its workers: it holds the reports, and the command that stands.

``ray.train.report`` waits for the controller's poll (2 s) on every rank and is not used.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from app.training.worker.protocol import Report, WorkerCommand

MAX_WAITING_REPORTS = 10_000
ANSWER_TIMEOUT_S = 10.0


class Monitor:
    """A bounded queue of reports, of which the oldest are dropped and counted when the driver does not drain it; and
    a command that stands until it is taken back."""

    def __init__(self, capacity: int = MAX_WAITING_REPORTS) -> None:
        self._reports: deque[Report] = deque(maxlen=capacity)
        self._dropped = 0
        self._command = WorkerCommand.NONE

    def add(self, report: Report) -> None:
        """Adds a report."""
        self._dropped += len(self._reports) == self._reports.maxlen
        self._reports.append(report)

    def drain(self) -> tuple[list[Report], int]:
        """Returns the reports since the last call, oldest first, and the number of dropped ones since the start."""
        found = list(self._reports)
        self._reports.clear()
        return found, self._dropped

    def command(self, command: WorkerCommand) -> None:
        """Replaces the command that stands."""
        self._command = command

    def standing_command(self) -> WorkerCommand:
        """Returns the command that stands."""
        return self._command


@dataclass(frozen=True, slots=True)
class MonitorLink:
    """The link to a monitor actor."""

    actor: Any

    def send(self, report: Report) -> None:
        """Sends a report, without waiting."""
        self.actor.add.remote(report)

    def standing_command(self) -> WorkerCommand:
        """Returns the command that stands; none without an answer: the driver's end ends this process too."""
        try:
            command: WorkerCommand = ray.get(self.actor.standing_command.remote(), timeout=ANSWER_TIMEOUT_S)
        except (RayError, TimeoutError):
            return WorkerCommand.NONE
        return command


def start_monitor(name: str) -> Any:
    """Starts a monitor actor on the driver's node, which outlives the workers' nodes; it ends with the driver.

    Args:
        name: of the run; unique on the cluster.

    Raises:
        ValueError: a monitor of that name exists: the run is going on already.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0)(Monitor).options(name=f"train/{name}", scheduling_strategy=here).remote()
