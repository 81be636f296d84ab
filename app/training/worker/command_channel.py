"""Commands reach every rank at the same step: the first rank polls its driver and broadcasts with each step."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import torch
import torch.distributed as dist

from app.training.worker.protocol import DriverLink, WorkerCommand

LISTEN_EVERY_S = 0.5
REPORT_EVERY_S = 1.0


class CommandChannel:
    """Broadcasts commands; a context manager around the loop.

    The broadcast of one step is read in the next, so that no rank waits for it. It runs on the CPU in a process
    group of its own, beside whatever the step computes.
    """

    def __init__(self, link: DriverLink, rank: int, group: dist.ProcessGroup) -> None:
        self._link, self._rank, self._group = link, rank, group
        self._heard = WorkerCommand.NONE
        self._reported_at = time.monotonic()
        self._stop = threading.Event()
        self._flying: tuple[torch.Tensor, dist.Work] | None = None
        self._listener = threading.Thread(target=self._listen, name="commands", daemon=True)

    def __enter__(self) -> CommandChannel:
        if self._rank == 0:
            self._listener.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if error is None:
            self._land()

    def exchange(self) -> WorkerCommand:
        """Returns the command that all ranks follow after this step. A collective call."""
        agreed = self._land()
        if agreed & WorkerCommand.REPORT:
            self._reported_at = time.monotonic()
        mine = self._heard
        if time.monotonic() - self._reported_at >= REPORT_EVERY_S:
            mine |= WorkerCommand.REPORT
        sent = torch.tensor([int(mine)], dtype=torch.int32)
        work = dist.broadcast(sent, src=0, group=self._group, async_op=True)
        assert work is not None
        self._flying = sent, work
        return agreed

    def _land(self) -> WorkerCommand:
        if self._flying is None:
            return WorkerCommand.NONE
        sent, work = self._flying
        self._flying = None
        work.wait()
        return WorkerCommand(int(sent.item()))

    def _listen(self) -> None:
        while not self._stop.wait(LISTEN_EVERY_S):
            self._heard = self._link.standing_command()
