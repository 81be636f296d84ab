"""The cluster as the controller sees it: route tables, gateway replicas that follow them, replicas of versions."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from app.errors import UnavailableError
from app.ray_internals import running_replicas
from app.releases.control.background_tasks import BackgroundTasks
from app.releases.control.task_names import read_back_task
from app.routing.readback import await_followed
from app.routing.route_store import RouteStore
from app.routing.route_table import RouteTable
from app.serving.batch import DEPLOYMENT

log = logging.getLogger(__name__)

FOLLOW_TIMEOUT_S = 10.0
HEALTHY = "HEALTHY"
"""Serve's status of a deployment that has all its replicas."""
QUERY_S = 5.0
"""Time that Serve's controller has for an answer, seconds: one that hangs must not hold up the way back, for which
Redis is enough."""
BUSY_S, IDLE_S = 1.0, 5.0
"""Longest age of what is known of Serve's applications, while releases are under way and while none is, seconds. To
ask takes Serve's controller and this process tens of milliseconds of CPU."""
UNLIMITED_REPLICAS = 1_000_000
"""Replicas of an inline version: every gateway replica answers with it."""


class ServeUnavailableError(UnavailableError):
    """Serve's controller does not answer."""


@dataclass(frozen=True, slots=True)
class Applications:
    """Serve's applications by name: status, running replicas of the version, and Serve's message about what is not
    healthy."""

    status: dict[str, str]
    replicas: dict[str, int]
    messages: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster at one instant: every model's table, and Serve's applications."""

    tables: dict[str, RouteTable]
    applications: Applications

    def running(self, model: str) -> dict[str, int]:
        """Replicas that answer, of each version that the model's table names."""
        table = self.tables.get(model)
        if table is None:
            return {}
        return {
            route.version: UNLIMITED_REPLICAS
            if route.placement == "inline"
            else self.applications.replicas.get(route.app, 0)
            for route in table.routes
        }

    def problems(self, model: str) -> dict[str, str]:
        """Version -> Serve's message about its application, where Serve has one."""
        table = self.tables.get(model)
        messages = self.applications.messages
        return (
            {route.version: messages[route.app] for route in table.routes if route.app in messages} if table else {}
        )

    def inline(self, model: str) -> frozenset[str]:
        """Versions of the model that its table places in the gateway replicas."""
        table = self.tables.get(model)
        return (
            frozenset(route.version for route in table.routes if route.placement == "inline")
            if table
            else frozenset()
        )

    def needed(self, model: str) -> int:
        """Replicas that carry all the model's traffic now: those of the version that has it. For an inline one,
        whose need is not known, 1: autoscaling adds to it as the challenger's share grows."""
        table = self.tables.get(model)
        carrying = [route for route in table.routes if route.weight] if table else []
        if not carrying or carrying[0].placement == "inline":
            return 1
        return max(1, self.applications.replicas.get(carrying[0].app, 0))

    def apps(self, model: str) -> frozenset[str]:
        """Versions of the model that have an application, named by the table or not."""
        head = f"{model}-v"
        found = (name.removeprefix(head) for name in self.applications.status if name.startswith(head))
        return frozenset(rest.rpartition("-")[0] for rest in found)


@dataclass(slots=True)
class ClusterState:
    """Observes the cluster. The gateway replicas are asked in background tasks, for that takes a broadcast.

    Args:
        gateway: gives the gateway's handle.
        query_s: time that Serve has for an answer, seconds.
    """

    routes: RouteStore
    gateway: Callable[[], DeploymentHandle[Any]]
    tasks: BackgroundTasks
    query_s: float = QUERY_S
    _followed: dict[str, int] = field(default_factory=dict)
    _known: Applications | None = None
    _known_at: float = -math.inf
    _changes: int = 0
    _query: asyncio.Future[Applications] | None = None
    _queried_at: float = -math.inf
    _queried_after: int = 0
    # Of its own: tasks that wait for a registry which is away may hold every thread of the loop's.
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "serve-status"))

    async def observe(self, age_s: float = 0.0) -> Snapshot:
        """Takes a snapshot.

        Args:
            age_s: how old what is seen of Serve's applications may be, seconds.

        Raises:
            redis.RedisError: Redis is away.
            ServeUnavailableError: Serve has never answered. Later on its last answer stands for a missing one.
        """
        tables, applications = await asyncio.gather(self.routes.read_all(), self._applications(age_s))
        return Snapshot(tables, applications)

    def changed(self) -> None:
        """Marks what is known of Serve's applications as out of date."""
        self._known_at = -math.inf
        self._changes += 1

    async def _applications(self, age_s: float) -> Applications:
        if self._known is not None and time.monotonic() - self._known_at < age_s:
            return self._known
        if self._query is None or self._query.done():  # one question at a time
            self._queried_at, self._queried_after = time.monotonic(), self._changes
            self._query = asyncio.get_running_loop().run_in_executor(self._thread, applications_now)
        try:
            self._known = await asyncio.wait_for(asyncio.shield(self._query), self.query_s)
        except TimeoutError:
            if self._known is None:
                raise ServeUnavailableError(
                    f"Serve's controller has not answered within {self.query_s:g} s"
                ) from None
            log.warning("Serve has not answered within %g s; what was seen of it last stands", self.query_s)
            return self._known
        if self._queried_after == self._changes:  # what changed meanwhile may not be in the answer
            self._known_at = self._queried_at
        return self._known

    def followed(self, table: RouteTable) -> bool:
        """True where every gateway replica was seen to follow the table; else they are asked in the background."""
        model, revision = table.model, table.revision
        if self._followed.get(model) == revision:
            return True

        async def read_back() -> None:
            await await_followed(self.gateway(), model, revision, FOLLOW_TIMEOUT_S)
            self._followed[model] = revision

        self.tasks.run(read_back_task(model), read_back)
        return False


def applications_now() -> Applications:
    """Serve's applications; blocks for a call to its controller."""
    found = serve.status().applications
    replicas, messages = {}, {}
    for name, application in found.items():
        deployment = application.deployments.get(DEPLOYMENT)
        if deployment is not None:
            replicas[name] = running_replicas(deployment)
            if deployment.message and deployment.status.value != HEALTHY:
                messages[name] = deployment.message
    status = {name: str(application.status.value) for name, application in found.items()}
    return Applications(status, replicas, messages)
