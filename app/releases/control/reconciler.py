"""Remakes what the route tables promise: versions with weight whose application is gone, as after the loss of the
whole Ray cluster; and finishes moves into the gateway replicas that were cut off. Of a model with a release under way
the release takes care itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from ray.serve.handle import DeploymentHandle

from app.registry import connect
from app.releases.control.background_tasks import BackgroundTasks
from app.releases.control.cluster_state import Snapshot
from app.releases.control.deployment import LOAD_TIMEOUT_S, bring_up, move_inline
from app.releases.control.task_names import deploy_task, move_inline_task
from app.routing.route_store import RouteStore
from app.settings import Settings

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reconciler:
    """Idempotent; called at every look."""

    settings: Settings
    routes: RouteStore
    gateway: Callable[[], DeploymentHandle[Any]]
    tasks: BackgroundTasks

    def reconcile(self, snapshot: Snapshot, busy: Collection[str]) -> None:
        """Begins to deploy again what is missing.

        Args:
            busy: models that are left alone.
        """
        for model, version in missing(snapshot, busy):
            self.tasks.run(deploy_task(model, version), partial(self._remake, model, version))

        for model, version in half_moved(snapshot, busy):
            self.tasks.run(move_inline_task(model, version), partial(self._finish, model, version))

    async def _finish(self, model: str, version: str) -> None:
        await move_inline(self.routes, self.gateway(), model, version, LOAD_TIMEOUT_S)

    async def _remake(self, model: str, version: str) -> None:
        log.warning("version %s of %s has weight and no application; deploying it again", version, model)
        client = await asyncio.to_thread(connect, self.settings.mlflow)
        await bring_up(client, self.routes, self.gateway(), model, version, self.settings.serving)


def missing(snapshot: Snapshot, busy: Collection[str]) -> list[tuple[str, str]]:
    """Model and version of every route that has weight and, though it wants one, no application. Pure."""
    return [
        (model, route.version)
        for model, table in snapshot.tables.items()
        if model not in busy
        for route in table.routes
        if route.weight and route.placement == "dedicated" and route.app not in snapshot.applications.status
    ]


def half_moved(snapshot: Snapshot, busy: Collection[str]) -> list[tuple[str, str]]:
    """Model and version of every inline route with all the traffic whose own replicas are still there. Pure."""
    return [
        (model, route.version)
        for model, table in snapshot.tables.items()
        if model not in busy
        for route in table.routes
        if route.weight == 1 and route.placement == "inline" and route.app in snapshot.applications.status
    ]
