"""A handle of a running stack."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cluster.local.config import Ports
from cluster.local.records import Observed
from cluster.local.state import State

END_WAIT_S = 90.0


@dataclass(frozen=True, slots=True)
class Stack:
    """The handle that ``up`` returns.

    ``environment`` holds what ``stack.env`` holds: ``TIDEGATE_*`` addresses and secrets, and the ``RAY_*``
    variables that a driver outside the cluster must set before it imports Ray.
    """

    state_dir: Path
    ports: Ports
    adopted: bool
    """True where it ran before."""
    environment: dict[str, str] = field(repr=False)
    _supervisor: psutil.Process
    _hold: int | None

    @property
    def env_file(self) -> Path:
        return State(self.state_dir).env_file

    def pid(self, process: str) -> int | None:
        """Returns the pid of ``redis``, ``mlflow``, ``ray-head``, ``ray-node-N`` or ``supervisor``, if it lives."""
        if process == "supervisor":
            return self._supervisor.pid
        observed = Observed.read(State(self.state_dir).observed_file)
        child = observed.children.get(process) if observed else None
        return child.pid if child and child.state == "running" else None

    def wait(self) -> None:
        """Block until the stack has ended."""
        self._supervisor.wait()

    def close(self) -> None:
        """End an attached stack and wait for it; a detached one is left alone."""
        if self._hold is not None:
            with contextlib.suppress(OSError):  # closed before
                os.close(self._hold)
            await_end(self._supervisor)


def await_end(process: psutil.Process) -> None:
    """Wait until a supervisor that was told to stop has gone."""
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(END_WAIT_S)
