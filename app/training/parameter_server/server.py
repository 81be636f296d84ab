"""A parameter server: what both protocols share. An asyncio actor, so that many workers can wait in it at once.

Li et al. 2014 (OSDI), "Scaling Distributed Machine Learning with the Parameter Server": keys are ranges of one flat
vector (section 4.1), each range lives on one server, and a repeated message changes nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch

from app.training.optimizer import find_optimizer
from app.training.parameter_server import checkpoints
from app.training.parameter_server.clocks import Clocks
from app.training.parameter_server.curve import Curve
from app.training.parameter_server.failures import ParameterServerError
from app.training.parameter_server.job import Terms
from app.training.parameter_server.shard import Floats, Shard
from app.training.worker.protocol import StepReport


@dataclass(frozen=True, slots=True)
class ServerProgress:
    """Progress of one server.

    Attributes:
        clocks: steps applied, by rank.
        updates: optimizer steps that made the present parameters.
        staleness: how many gradients (this server's range of them) were applied when so many updates had happened
            since the parameters that they were computed from. Zero everywhere in synchronous mode.
        lead: how many were computed from parameters that lacked so many steps of the slowest worker: the distance
            that a bound limits.
        reports: of the steps that became whole since the last such answer.
    """

    clocks: tuple[int, ...]
    updates: int
    staleness: dict[int, int]
    lead: dict[int, int]
    reports: tuple[StepReport, ...]


@dataclass(frozen=True, slots=True)
class _Handout:
    updates: int
    lead: int


class Server:
    """One range of the parameters. Everything that changes it holds ``_changed``, whose waiters are the workers that
    may not go on yet; numeric work runs in a thread, so that the loop keeps answering.

    A checkpoint is written each time that the slowest clock passes a multiple of ``checkpoint_every``, and at the
    end. In synchronous mode the parts of one step are one state of the whole model. In the other modes each part is
    one state of its range with the clocks of all ranks in it; ranges differ in which gradients of faster workers they
    have. A worker goes on from the smallest of its clocks, and a server that already has a step of it ignores it:
    every server applies every worker's every step exactly once.
    """

    def __init__(self, index: int, terms: Terms) -> None:
        self._index, self._terms = index, terms
        self._changed = asyncio.Condition()
        self._updates = 0
        self._staleness: Counter[int] = Counter()
        self._lead: Counter[int] = Counter()
        self._handouts: dict[int, _Handout] = {}
        self._published: tuple[int, Any] | None = None
        self._closed = False

    async def start(self, initial: Floats, resume: int | None) -> int:
        """Begins with this server's range of ``initial`` (float32, shape (total,)), or the checkpoint of ``resume``.

        Returns:
            This process's id.

        Raises:
            ParameterServerError: the checkpoint belongs to another run.
        """
        torch.set_num_threads(1)
        terms = self._terms
        optimization = terms.optimization
        kind = find_optimizer(optimization.optimizer)
        self._shard = Shard(initial[terms.ranges[self._index].positions], kind, optimization.weight_decay)
        self._clocks = Clocks((0,) * terms.workers, terms.bound)
        if resume is not None:
            self._restore(checkpoints.read(Path(terms.folder), resume, self._index, len(terms.ranges)))
        self._curve = Curve(terms.plan, self._clocks.slowest)
        return os.getpid()

    async def clock(self, rank: int) -> int:
        """Number of steps of ``rank`` that are applied."""
        return self._clocks.done[rank]

    async def pull(self, rank: int, step: int) -> Any:
        """The parameters for ``rank`` to compute ``step`` with, as soon as the bound allows. A rank that has
        computed all steps does not wait.

        Returns:
            A reference to float32, shape (length,), in the object store: one copy for all who read this version.

        Raises:
            ParameterServerError: the slowest workers did not catch up before the deadline.
        """
        await self._until(
            lambda: step >= self._terms.plan.steps or self._clocks.may_begin(step),
            lambda: (
                f"rank {rank} may not begin step {step} before {_ranks(self._clocks.laggards)} went on from step "
                f"{self._clocks.slowest}"
            ),
        )
        async with self._changed:
            self._handouts[rank] = _Handout(self._updates, self._clocks.lead(step))
            if self._published is None or self._published[0] != self._updates:
                self._published = (self._updates, await asyncio.to_thread(ray.put, self._shard.values))
            return self._published[1]

    async def progress(self) -> ServerProgress:
        """Answers at any time, also while an update runs."""
        reports = tuple(self._curve.drain())
        return ServerProgress(self._clocks.done, self._updates, dict(self._staleness), dict(self._lead), reports)

    async def close(self) -> None:
        """Ignores gradients from now on: a worker's calls may arrive after its own end."""
        async with self._changed:
            self._closed = True

    async def save(self, step: int) -> None:
        """Writes a checkpoint now, under the name of ``step``."""
        async with self._changed:
            await self._save(step)

    async def _until(self, ready: Callable[[], bool], waiting: Callable[[], str]) -> None:
        try:
            async with asyncio.timeout(self._terms.deadline_s), self._changed:
                await self._changed.wait_for(ready)
        except TimeoutError:
            raise ParameterServerError(f"{waiting()}: waited {self._terms.deadline_s:g} s") from None

    async def _update(self, norm: float, learning_rate: float) -> None:
        clip_norm = self._terms.optimization.clip_norm
        await asyncio.to_thread(self._shard.step, norm, clip_norm, learning_rate)

    def _measure(self, rank: int) -> None:
        handout = self._handouts[rank]
        self._staleness[self._updates - handout.updates] += 1
        self._lead[handout.lead] += 1

    async def _moved(self, before: int) -> None:
        """Wakes waiting calls after the slowest clock moved on from ``before``; saves a checkpoint that is due."""
        self._changed.notify_all()
        now = self._clocks.slowest
        if now == before:
            return
        self._curve.finish(before, self._terms.learning_rate(before))
        if now % self._terms.checkpoint_every == 0 or now == self._terms.plan.steps:
            await self._save(now)

    async def _save(self, step: int) -> None:
        folder, servers = Path(self._terms.folder), len(self._terms.ranges)
        await asyncio.to_thread(checkpoints.write, folder, step, self._index, servers, self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "shard": self._shard.state(),
            "clocks": list(self._clocks.done),
            "updates": self._updates,
            "staleness": dict(self._staleness),
            "lead": dict(self._lead),
            "run": self._identity(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        if state["run"] != self._identity():
            raise ParameterServerError(
                f"the checkpoint in {self._terms.folder} is of a run with {_words(state['run'])}; this one has "
                f"{_words(self._identity())}: accepted are the same values, or another folder"
            )
        self._shard.restore(state["shard"])
        self._clocks = Clocks(tuple(state["clocks"]), self._terms.bound)
        self._updates = state["updates"]
        self._staleness, self._lead = Counter(state["staleness"]), Counter(state["lead"])

    def _identity(self) -> dict[str, str | int]:
        terms = self._terms
        return {
            "mode": terms.mode,
            "workers": terms.workers,
            "parameters": terms.total,
            "rows": terms.plan.rows,
            "batch_size": terms.plan.batch_size,
            "epochs": terms.plan.epochs,
            "seed": terms.plan.seed,
        }


def _ranks(ranks: tuple[int, ...]) -> str:
    return f"rank {', '.join(map(str, ranks))}"


def _words(values: dict[str, str | int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
