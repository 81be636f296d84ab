"""A worker: gradients of its part of every global batch, from the servers' parameters."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from ray.exceptions import GetTimeoutError, ObjectLostError, RayActorError, RayTaskError

from app.training.config.schedule import dropout_seed
from app.training.parameter_server.client import Client, Servers
from app.training.parameter_server.flat import FlatModel, build
from app.training.parameter_server.job import Terms, Work
from app.training.parameter_server.stale import StaleClient
from app.training.parameter_server.synchronous import SynchronousClient
from app.training.worker.loader import Loader


class Worker:
    """One rank, as an actor of one CPU. What it knows can be computed anew by another process at the same rank."""

    def __init__(self, rank: int, terms: Terms, work: Work) -> None:
        self._rank, self._terms, self._work = rank, terms, work

    def pid(self) -> int:
        """This process's id."""
        return os.getpid()

    def run(self, handles: Sequence[Any]) -> bool:
        """Computes from where the servers have this rank to the end.

        Returns:
            False when a server is gone, or answers too late.

        Raises:
            ParameterServerError: see :class:`FlatModel`; a server's wait came to its deadline.
        """
        torch.set_num_threads(1)
        data = self._work.data.get()
        model = build(self._work.recipe, data, self._terms.plan.seed)
        loader = Loader(data.train, self._terms.plan, self._rank, self._terms.workers, torch.device("cpu"))
        make = SynchronousClient if self._terms.mode == "synchronous" else StaleClient
        try:
            self._train(model, loader, make(Servers(handles, self._terms), self._terms, self._rank))
        except RayTaskError:
            raise
        except (RayActorError, ObjectLostError, GetTimeoutError):
            return False
        return True

    def _train(self, model: FlatModel, loader: Loader, servers: Client) -> None:
        first, steps = servers.begin(), self._terms.plan.steps
        parameters, gradients = model.parameters.numpy(), model.gradients.numpy()
        before = model.snapshot()
        model.module.train()
        servers.pull(first, parameters)
        for step in range(first, steps):
            torch.manual_seed(dropout_seed(self._terms.plan.seed, step, self._rank))
            model.gradients.zero_()
            loss = self._work.recipe.loss(model.module, loader.batch(step))
            loss.backward()  # type: ignore[no-untyped-call]
            if step == first:
                model.refuse_changes(before)
            servers.push_pull(step, gradients, float(loss.detach()), parameters)
