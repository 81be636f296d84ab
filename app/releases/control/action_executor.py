"""Does what a release asks for. Every action may be done again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient
from ray import serve
from ray.serve.handle import DeploymentHandle

from app.registry import UnknownVersionError, UnservableError, connect
from app.releases.control.background_tasks import BackgroundTasks
from app.releases.control.deployment import LOAD_TIMEOUT_S, bring_up, move_inline, take_down
from app.releases.control.outbox import deliver
from app.releases.lifecycle.observation import (
    Action,
    Deliver,
    Deploy,
    MoveInline,
    ReserveCapacity,
    SetWeights,
    TakeDown,
)
from app.releases.model.release import COMMITTED, Release
from app.releases.model.release_context import context_of
from app.routing.route_store import RouteStore
from app.routing.route_table import RouteTable, with_trial
from app.serving.batch import DEPLOYMENT
from app.serving.deploy import DeployError
from app.settings import Settings

log = logging.getLogger(__name__)

RESERVATION_LEASE_S = 60.0
"""Time for which replicas keep what they were told to hold, seconds; renewed at a third of it."""


@dataclass(slots=True)
class ActionExecutor:
    """The controller's hands.

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
    _reserved: dict[tuple[str, int], float] = field(default_factory=dict)

    def forget(self, release: str) -> None:
        """After its end."""
        self.failed.pop(release, None)
        self.delivered.pop(release, None)

    def deploying(self, model: str) -> frozenset[str]:
        """Versions of a model whose deployment is under way here."""
        table = f"deploy {model} version "
        return frozenset(name.removeprefix(table) for name in self.tasks.names() if name.startswith(table))

    async def execute(self, release: Release, action: Action, table: RouteTable | None) -> None:
        """Begin an action; what is quick is done at once.

        Raises:
            RouteError, redis.RedisError: the route table could not be changed.
        """
        model = release.model
        match action:
            case SetWeights(weights, announced):
                context = context_of(release) if announced else None
                await self.routes.change(
                    model, lambda held, now_ms: with_trial(held, weights, context, self.token(), now_ms)
                )
            case ReserveCapacity(version, replicas):
                if table is not None and version in table.apps and table.route(version).placement == "dedicated":
                    self._reserve(table.route(version).app, replicas)
            case Deploy(version):
                self.tasks.run(f"deploy {model} version {version}", lambda: self._deploy(release, version))
            case TakeDown(version):
                if version not in self.deploying(model):
                    self.tasks.run(
                        f"take down {model} version {version}",
                        lambda: take_down(self.routes, self.gateway(), model, version),
                    )
            case MoveInline(version):
                self.tasks.run(
                    f"move {model} version {version} inline",
                    lambda: move_inline(self.routes, self.gateway(), model, version, LOAD_TIMEOUT_S),
                )
            case Deliver(note):

                async def hand_over() -> None:
                    # To connect blocks as well, for minutes where the registry takes connections and answers none.
                    await asyncio.to_thread(lambda: deliver(self._registry(), model, note))
                    self.delivered[release.id] = note.number

                self.tasks.run(f"notes of {release.id}", hand_over)

    async def _deploy(self, release: Release, version: str) -> None:
        try:
            client = await asyncio.to_thread(self._registry)
            await bring_up(client, self.routes, self.gateway(), release.model, version, self.settings.serving)
        except (UnknownVersionError, UnservableError, DeployError) as error:
            if version != release.challenger or release.phase in COMMITTED:
                raise  # a champion is tried again for ever
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
            await handle.broadcast("hold", replicas, RESERVATION_LEASE_S).results_async(timeout_s=2.0)
            self._reserved = {key: at for key, at in self._reserved.items() if now - at < RESERVATION_LEASE_S}
            self._reserved[app, replicas] = now

        self.tasks.run(f"reserve {replicas} of {app}", reserve)
