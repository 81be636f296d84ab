"""Carries out the actions of releases. Every action may be carried out again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient
from ray import serve
from ray.serve.handle import DeploymentHandle
from redis.exceptions import RedisError

from app.registry import UnknownVersionError, UnservableError, connect
from app.releases.control.background_tasks import BackgroundTasks
from app.releases.control.deployment import LOAD_TIMEOUT_S, bring_up, move_inline, take_down
from app.releases.control.outbox import deliver
from app.releases.control.task_names import deploy_task, move_inline_task, notes_task, read_back_task, take_down_task
from app.releases.lifecycle.observation import (
    Action,
    Deliver,
    Deploy,
    MoveInline,
    ReserveCapacity,
    SetWeights,
    TakeDown,
    Work,
)
from app.releases.model.release import COMMITTED, Release
from app.releases.model.routing_context import context_of
from app.routing.route_store import RouteStore
from app.routing.route_table import RouteError, RouteTable, with_release_context
from app.serving.batch import DEPLOYMENT
from app.serving.deploy import DeployError
from app.settings import Settings

log = logging.getLogger(__name__)

RESERVATION_LEASE_S = 60.0
"""Time for which replicas keep a reservation, seconds; renewed at a third of it."""


@dataclass(slots=True)
class ActionExecutor:
    """Executor of a release's actions; what takes long becomes a background task.

    Args:
        gateway: gives the gateway's handle.
        token: the fencing token of the lease that is held now.

    Attributes:
        failed: release -> version -> why it cannot be deployed.
        delivered: release -> number of the last note that the registry took.
    """

    settings: Settings
    routes: RouteStore
    gateway: Callable[[], DeploymentHandle[Any]]
    tasks: BackgroundTasks
    token: Callable[[], int]
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    delivered: dict[str, int] = field(default_factory=dict)
    _unwritten: dict[str, str] = field(default_factory=dict)
    _reserved: dict[tuple[str, int], float] = field(default_factory=dict)

    def forget(self, release: Release) -> None:
        """Forgets a release that has ended."""
        self.failed.pop(release.id, None)
        self.delivered.pop(release.id, None)
        self._unwritten.pop(release.id, None)
        for name in _task_names(release).values():
            self.tasks.forget(name)

    def deploying(self, model: str) -> frozenset[str]:
        """Versions of a model whose deployment is under way here."""
        head = deploy_task(model, "")
        return frozenset(name.removeprefix(head) for name in self.tasks.names() if name.startswith(head))

    def written(self, release: Release) -> None:
        """The route table holds the release's weights, whoever wrote them."""
        self._unwritten.pop(release.id, None)

    def errors(self, release: Release) -> dict[tuple[Work, str], str]:
        """(work, version) -> last error of a release's work that has not been done since."""
        found = {
            key: error for key, name in _task_names(release).items() if (error := self.tasks.error(name)) is not None
        }
        if release.id in self._unwritten:
            found["weights", ""] = self._unwritten[release.id]
        return found

    async def execute(self, release: Release, action: Action, table: RouteTable | None) -> None:
        """Begins an action; what is quick is done at once.

        Raises:
            RouteError, redis.RedisError: the route table could not be changed.
        """
        model = release.model
        match action:
            case SetWeights(weights, announced):
                context = context_of(release) if announced else None
                try:
                    await self.routes.change(
                        model, lambda held, now_ms: with_release_context(held, weights, context, self.token(), now_ms)
                    )
                except (RouteError, RedisError, OSError) as error:
                    self._unwritten[release.id] = str(error) or type(error).__name__
                    raise
                self.written(release)
            case ReserveCapacity(version, replicas):
                if table is not None and version in table.apps and table.route(version).placement == "dedicated":
                    self._reserve(table.route(version).app, replicas)
            case Deploy(version):
                self.tasks.run(deploy_task(model, version), lambda: self._deploy(release, version))
            case TakeDown(version):
                if version not in self.deploying(model):
                    self.tasks.run(
                        take_down_task(model, version),
                        lambda: take_down(self.routes, self.gateway(), model, version),
                    )
            case MoveInline(version):
                self.tasks.run(
                    move_inline_task(model, version),
                    lambda: move_inline(self.routes, self.gateway(), model, version, LOAD_TIMEOUT_S),
                )
            case Deliver(note):

                async def hand_over() -> None:
                    # To connect blocks as well, for minutes where the registry takes connections and answers none.
                    await asyncio.to_thread(lambda: deliver(self._registry(), model, note))
                    self.delivered[release.id] = note.number

                self.tasks.run(notes_task(release.id), hand_over)

    async def _deploy(self, release: Release, version: str) -> None:
        try:
            client = await asyncio.to_thread(self._registry)
            await bring_up(client, self.routes, self.gateway(), release.model, version, self.settings.serving)
        except (UnknownVersionError, UnservableError, DeployError) as error:
            if version != release.challenger or release.phase in COMMITTED:
                raise  # a champion is tried again without end
            self.failed.setdefault(release.id, {})[version] = str(error)
            log.warning("release %s: version %s cannot be deployed: %s", release.id, version, error)

    def _registry(self) -> MlflowClient:
        return connect(self.settings.mlflow)

    def _reserve(self, app: str, replicas: int) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._reserved.get((app, replicas), -RESERVATION_LEASE_S) < RESERVATION_LEASE_S / 3:
            return

        async def reserve() -> None:
            handle: DeploymentHandle[Any] = serve.get_deployment_handle(DEPLOYMENT, app)
            await handle.broadcast("reserve_capacity", replicas, RESERVATION_LEASE_S).results_async(timeout_s=2.0)
            self._reserved = {key: at for key, at in self._reserved.items() if now - at < RESERVATION_LEASE_S}
            self._reserved[app, replicas] = now

        self.tasks.run(f"reserve {replicas} of {app}", reserve)


def _task_names(release: Release) -> dict[tuple[Work, str], str]:
    """(work, version) -> name of the background task that does it."""
    found: dict[tuple[Work, str], str] = {
        ("follow", ""): read_back_task(release.model),
        ("registry", ""): notes_task(release.id),
        ("move_inline", release.challenger): move_inline_task(release.model, release.challenger),
    }
    for version in filter(None, (release.challenger, release.champion)):
        found["deploy", version] = deploy_task(release.model, version)
        found["take_down", version] = take_down_task(release.model, version)
    return found
