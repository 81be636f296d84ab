"""Asynchronous and stale-synchronous protocol: every worker's gradient is an update of its own, made on arrival.

Each gradient is clipped by its own norm, which its worker knows. The bound of the stale-synchronous mode (Ho et al.
2013, section 2) is kept by each server for itself: parameters for step c are not given out while a rank's clock is
below c - bound. Between a worker's pull and its push, each other worker then makes at most 2·bound + 1 updates.
"""

from __future__ import annotations

import asyncio
from typing import Any

import torch

from app.training.parameter_server.client import Servers
from app.training.parameter_server.failures import ParameterServerError
from app.training.parameter_server.job import Terms
from app.training.parameter_server.server import Server
from app.training.parameter_server.shard import Floats


class StaleServer(Server):
    """Applies gradients in the order of their arrival."""

    async def push_pull(self, rank: int, step: int, gradient: Floats, loss: float, norm: float) -> Any:
        """Updates by a rank's gradient of ``step``, shape (length,), unless that is done already, then ``pull`` for
        the step after it.

        Args:
            loss: mean over the rank's rows.
            norm: of the rank's whole gradient, before clipping.

        Raises:
            ParameterServerError: the rank is further ahead than the bound allows.
        """
        async with self._changed:
            if not self._closed and step == self._clocks.done[rank]:
                await self._apply(rank, step, gradient, loss, norm)
        return await self.pull(rank, step + 1)

    async def _apply(self, rank: int, step: int, gradient: Floats, loss: float, norm: float) -> None:
        before = self._clocks.slowest
        if not self._clocks.may_begin(step):
            raise ParameterServerError(
                f"rank {rank} brings step {step} while the slowest is at {before}: the bound is {self._clocks.bound}"
            )
        await asyncio.to_thread(self._shard.average, [gradient])
        await self._update(norm, self._terms.learning_rate(step))
        self._curve.add(step, loss, norm)
        self._measure(rank)
        self._updates += 1
        self._clocks = self._clocks.advance(rank)
        await self._moved(before)


class StaleClient:
    """The client of asynchronous servers; ``client.Client`` describes the methods."""

    def __init__(self, servers: Servers, terms: Terms, rank: int) -> None:
        self._servers, self._rank = servers, rank

    def begin(self) -> int:
        """The smallest of this rank's clocks: servers that are further ignore what they have."""
        clocks: list[int] = self._servers.call("clock", self._rank)
        return min(clocks)

    def pull(self, step: int, into: Floats) -> None:
        """The newest parameters, as soon as the bound allows."""
        self._servers.copy(self._servers.call("pull", self._rank, step), into)

    def push_pull(self, step: int, gradient: Floats, loss: float, into: Floats) -> None:
        """Waits for slower ranks only."""
        norm = float(torch.linalg.vector_norm(torch.from_numpy(gradient), dtype=torch.float64))
        self._servers.copy(self._servers.send("push_pull", self._rank, step, gradient, loss, norm), into)
