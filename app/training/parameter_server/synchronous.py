"""Synchronous protocol: a step's update is made once, from the mean of every worker's gradient.

Clipping needs the norm of the whole mean, of which each server knows its range. Servers never wait for one another:
each answers a contribution with the sum of squares of its range, every worker adds these up in the servers' order,
and brings the same norm to every server, of which the first to arrive makes the update. A server therefore waits for
contributions only, and a worker only for servers: no cycle, and the norm is the same number everywhere.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

from app.training.parameter_server.client import Servers
from app.training.parameter_server.job import Terms
from app.training.parameter_server.server import Server
from app.training.parameter_server.shard import Floats


class SynchronousServer(Server):
    """Clocks of all ranks are the same number, the version."""

    def __init__(self, index: int, terms: Terms) -> None:
        super().__init__(index, terms)
        self._contributions: dict[int, tuple[Floats, float]] = {}
        self._squares: dict[int, float] = {}

    async def contribute(self, rank: int, step: int, gradient: Floats, loss: float) -> float:
        """A rank's gradient of ``step``, shape (length,), and mean loss over its rows. Sent again it is ignored: the
        same rank, step and parameters give the same numbers.

        Returns:
            The sum of squares of the mean gradient in this range, once all ranks have contributed.
        """
        async with self._changed:
            if not self._closed and step == self._clocks.slowest and step not in self._squares:
                self._contributions.setdefault(rank, (gradient, loss))
                if len(self._contributions) == self._terms.workers:
                    await self._average(step)
        return await self.square(step)

    async def square(self, step: int) -> float:
        """Returns the value of ``contribute`` for the present step or the one before it."""
        await self._until(lambda: step in self._squares, lambda: self._missing(step))
        return self._squares[step]

    async def commit(self, step: int, norm: float) -> None:
        """Makes the update of ``step``, unless it is made already; ``norm`` is that of the whole mean gradient."""
        async with self._changed:
            await self._commit(step, norm)

    async def commit_pull(self, rank: int, step: int, norm: float) -> Any:
        """``commit``, then ``pull`` for the step after it."""
        async with self._changed:
            if not self._closed:
                await self._commit(step, norm)
        return await self.pull(rank, step + 1)

    async def _commit(self, step: int, norm: float) -> None:
        if step != self._clocks.slowest:
            return
        await self._update(norm, self._terms.learning_rate(step))
        for rank, (_, loss) in sorted(self._contributions.items()):
            self._curve.add(step, loss, norm)
            self._measure(rank)
        self._contributions.clear()
        self._squares.pop(step - 1, None)
        self._updates += 1
        self._clocks = self._clocks.advance_all()
        await self._moved(before=step)

    async def _average(self, step: int) -> None:
        gradients = [self._contributions[rank][0] for rank in range(self._terms.workers)]
        self._squares[step] = await asyncio.to_thread(self._shard.average, gradients)
        self._changed.notify_all()

    def _missing(self, step: int) -> str:
        missing = [str(rank) for rank in range(self._terms.workers) if rank not in self._contributions]
        return f"step {step} has no gradient of rank {', '.join(missing)}"


class SynchronousClient:
    """The client of synchronous servers; ``client.Client`` describes the methods."""

    def __init__(self, servers: Servers, terms: Terms, rank: int) -> None:
        self._servers, self._rank = servers, rank

    def begin(self) -> int:
        """The servers' version."""
        return settle(self._servers)

    def pull(self, step: int, into: Floats) -> None:
        """The parameters of version ``step``."""
        self._servers.copy(self._servers.call("pull", self._rank, step), into)

    def push_pull(self, step: int, gradient: Floats, loss: float, into: Floats) -> None:
        """Takes every other rank's gradient of ``step``."""
        squares = self._servers.send("contribute", self._rank, step, gradient, loss)
        self._servers.copy(self._servers.call("commit_pull", self._rank, step, math.sqrt(sum(squares))), into)


def settle(servers: Servers) -> int:
    """Brings all servers to one version; returns it.

    The worker that brings the norm may be lost half way, with the update made on some servers and not on others. All
    of them have every contribution then, and the norm can be made again.
    """
    versions: list[int] = servers.call("clock", 0)
    step = min(versions)
    if max(versions) == step:
        return step
    servers.call("commit", step, math.sqrt(sum(servers.call("square", step))))
    return settle(servers)
