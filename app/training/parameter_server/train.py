"""A run with parameter servers, from the driver: start, watch, replace what is lost, stop, resume."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from torch import Tensor

from app.training.parameter_server import checkpoints
from app.training.parameter_server.actors import (
    ServerGroup,
    ServerLostError,
    StopRequestedError,
    WorkerGroup,
    WorkerLostError,
)
from app.training.parameter_server.client import GRACE_S
from app.training.parameter_server.config import ParameterServerConfig
from app.training.parameter_server.failures import ParameterServerError
from app.training.parameter_server.flat import build
from app.training.parameter_server.job import ServerJob, Terms, Work
from app.training.parameter_server.ranges import cut
from app.training.parameter_server.server import ServerProgress
from app.training.shared_data import Shared
from app.training.worker.protocol import Report, Started

Tell = Callable[[Report], object]
Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of a run.

    Attributes:
        steps: that every worker has contributed to.
        updates: optimizer steps behind the parameters: ``steps`` in synchronous mode, else one for every worker's
            every step.
        staleness: gradients by the number of updates between the parameters that they were computed from and their
            own update; a gradient counts once on each server.
        lead: gradients by the number of the slowest worker's steps that their parameters lacked; never more than
            the bound. Counted as ``staleness`` is.
        worker_restarts: workers that were replaced; server_restarts: times that all went back to a checkpoint.
    """

    steps: int
    updates: int
    staleness: Mapping[int, int]
    lead: Mapping[int, int]
    worker_restarts: int
    server_restarts: int


@dataclass(frozen=True, slots=True)
class ServerResult:
    """The end of a run.

    Attributes:
        state: the whole model's ``state_dict`` on the CPU; None when the run was stopped before its end.
    """

    state: dict[str, Tensor] | None
    summary: Summary


def train_with_servers(
    job: ServerJob, settings: ParameterServerConfig, folder: Path, report: Tell, stop: Stop
) -> ServerResult:
    """Trains on the connected Ray cluster, from the newest complete checkpoint in ``folder`` or from the start.

    Args:
        folder: this run's own; every node reaches it by this path.
        report: takes a ``Started`` each time that workers begin, also anew, and a ``StepReport`` for each reported
            step; steps since a checkpoint come again when a server was lost.
        stop: asked a few times a second; once true, the servers write a checkpoint and everything ends.

    Raises:
        ParameterServerError: the configuration, the model or the checkpoint cannot be used; the recipe raised; more
            failures than ``job.max_failures``; no progress before the deadline.
    """
    with torch.random.fork_rng(devices=[]):
        model = build(job.recipe, job.data, job.plan.seed)
    terms = Terms(
        mode=settings.mode,
        bound=settings.bound,
        ranges=cut(model.parameters.numel(), settings.servers),
        plan=job.plan,
        workers=job.workers,
        optimization=job.optimization,
        checkpoint_every=job.checkpoint_every,
        deadline_s=settings.deadline_s,
        folder=str(folder.resolve()),
    )
    driver = _Driver(terms, Work(job.recipe, Shared.put(job.data)), job, report, stop)
    initial = model.parameters.numpy()
    finished = driver.run(ray.put(initial), into=initial)
    return ServerResult(model.module.state_dict() if finished else None, driver.summary())


class _Driver:
    def __init__(self, terms: Terms, work: Work, job: ServerJob, report: Tell, stop: Stop) -> None:
        self._terms, self._work, self._folder = terms, work, Path(terms.folder)
        self._max_failures, self._node_labels = job.max_failures, job.node_labels
        self._report, self._stop = report, stop
        self._worker_restarts = self._server_restarts = 0
        self._progress: list[ServerProgress] = []

    def run(self, initial: Any, into: Any) -> bool:
        """Trains; returns True where all steps are done and the parameters are in ``into``."""
        while True:
            resume = self._choose_checkpoint()
            try:
                with ExitStack() as running:
                    servers = ServerGroup(self._terms, self._node_labels)
                    running.callback(servers.end)
                    workers = WorkerGroup(self._terms, self._work, servers, self._node_labels)
                    running.callback(workers.end)
                    return self._train(servers, workers, initial, resume, into)
            except StopRequestedError:
                return False
            except ServerLostError:
                self._count_failures("server", 1)

    def summary(self) -> Summary:
        """Figures of the run until now."""
        staleness: Counter[int] = Counter()
        lead: Counter[int] = Counter()
        for server in self._progress:
            staleness.update(server.staleness)
            lead.update(server.lead)
        return Summary(
            steps=self._slowest(),
            updates=min((server.updates for server in self._progress), default=0),
            staleness=dict(sorted(staleness.items())),
            lead=dict(sorted(lead.items())),
            worker_restarts=self._worker_restarts,
            server_restarts=self._server_restarts,
        )

    def _train(self, servers: ServerGroup, workers: WorkerGroup, initial: Any, resume: int | None, into: Any) -> bool:
        servers.start(initial, resume, self._stop)
        try:
            self._begin(workers, list(range(self._terms.workers)), servers)
            self._watch(workers, servers)
        except StopRequestedError:
            workers.end()
            servers.save()
            self._poll(servers)
            return False
        servers.parameters(into)
        return True

    def _watch(self, workers: WorkerGroup, servers: ServerGroup) -> None:
        moved_at, moved_to = time.monotonic(), self._applied()
        while workers.running:
            if self._stop():
                raise StopRequestedError
            lost = workers.wait()
            self._poll(servers)
            if lost:
                self._count_failures("worker", len(lost))
                workers.replace(lost)
                self._begin(workers, lost, servers)
            if lost or self._applied() != moved_to:
                moved_at, moved_to = time.monotonic(), self._applied()
            elif time.monotonic() - moved_at > self._terms.deadline_s + GRACE_S:
                raise ParameterServerError(f"no worker made a step within {self._terms.deadline_s + GRACE_S:g} s")
        self._poll(servers)

    def _choose_checkpoint(self) -> int | None:
        servers = len(self._terms.ranges)
        found = checkpoints.complete(self._folder)
        newest = max(found, default=None)
        if newest is not None and found[newest] != servers:
            raise ParameterServerError(
                f"servers = {servers}: the checkpoint in {self._folder} is of {found[newest]} servers; accepted is "
                f"{found[newest]}, or another folder"
            )
        checkpoints.remove_after(self._folder, -1 if newest is None else newest)
        return newest

    def _begin(self, workers: WorkerGroup, ranks: list[int], servers: ServerGroup) -> None:
        while True:
            try:
                workers.train(ranks, self._stop)
                break
            except WorkerLostError:
                self._count_failures("worker", 1)
                workers.replace(ranks)
        self._poll(servers)
        how = f"{len(self._terms.ranges)} parameter servers, {self._terms.mode}"
        self._report(Started(self._slowest(), self._terms.workers, how, workers.pids, (), "cpu"))

    def _poll(self, servers: ServerGroup) -> None:
        before, self._progress = self._slowest(), servers.progress()
        for report in self._progress[0].reports:  # every server sees every step; one of them tells
            self._report(report)
        if self._slowest() != before:
            checkpoints.remove_old(self._folder)

    def _slowest(self) -> int:
        return min((min(server.clocks) for server in self._progress), default=0)

    def _applied(self) -> int:
        return sum(sum(server.clocks) for server in self._progress)

    def _count_failures(self, kind: str, count: int) -> None:
        if kind == "worker":
            self._worker_restarts += count
        else:
            self._server_restarts += count
        failures = self._worker_restarts + self._server_restarts
        if failures > self._max_failures:
            raise ParameterServerError(
                f"a {kind} was lost; losses so far: {failures}, max_failures = {self._max_failures}"
            )
