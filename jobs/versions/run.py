"""Versions beside the gateway: deployed, weighed, moved and removed by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, NamedTuple

from ray.serve.handle import DeploymentHandle

from app.registry import connect, find
from app.releases.control.deployment import bring_up, move_inline, move_out, take_down
from app.releases.lifecycle.phases import same_weights
from app.routing.readback import NotFollowedError, await_followed
from app.routing.route_store import RouteStore
from app.routing.route_store import connect as connect_redis
from app.routing.route_table import RouteTable, with_entity, with_weights
from app.serving.deploy import running
from app.settings import Settings
from jobs.connect import cluster, gateway

FOLLOW_TIMEOUT_S = 10.0
POLL_S = 0.05
"""Pause between two reads of the route table, seconds."""


class DeployedVersion(NamedTuple):
    """A row of the list.

    Attributes:
        application: of Serve; ``gateway`` for a version inside the gateway's replicas.
        state: of the application; empty inside the gateway.
    """

    model: str
    version: str
    weight: float
    placement: str
    application: str
    state: str


class Versions:
    """The versions of a running platform.

    Every method raises RegistryError, RouteError, DeployError, NotFollowedError, RedisError or ConnectionError where
    it is refused or not answered; those that change something return a sentence about it.
    """

    def __init__(self, settings: Settings, store: RouteStore, handle: DeploymentHandle[Any]) -> None:
        self._settings, self._store, self._handle = settings, store, handle

    async def up(self, model: str, version: str, entity: str | None) -> str:
        """Deploy a version (number or alias), at weight 0."""
        client = connect(self._settings.mlflow)
        number = str(find(client, model, version).version)
        up = await bring_up(client, self._store, self._handle, model, number, self._settings.serving, entity)
        return f"version {number} of {model} is {up.app}, healthy after {up.seconds:.1f} s"

    async def down(self, model: str, version: str) -> str:
        """Remove a version that has no weight."""
        followed = await take_down(self._store, self._handle, model, version)
        return f"version {version} of {model} is gone; {followed.replicas} replicas follow"

    async def set_weights(self, model: str, weights: Mapping[str, float], entity: str | None = None) -> str:
        """Set the weights, a version that is not named gets 0; and the input column of the sticky key, if given."""

        def changed(held: RouteTable, now_ms: int) -> RouteTable:
            table = with_weights(held, weights, now_ms)
            return table if entity is None else with_entity(table, entity, now_ms)

        table = await self._store.change(model, changed)
        followed = await await_followed(self._handle, model, table.revision, FOLLOW_TIMEOUT_S)
        return f"{followed.replicas} gateway replicas follow after {followed.seconds * 1e3:.1f} ms"

    async def read(self, model: str) -> RouteTable | None:
        """Return the route table of a model; None without one."""
        return await self._store.read(model)

    async def await_weights(self, model: str, weights: Mapping[str, float], timeout_s: float) -> bool:
        """Wait until every gateway replica follows these weights; returns False after ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            table = await self.read(model)
            if table is not None and same_weights(table.weights, weights):
                with suppress(NotFollowedError):
                    await await_followed(self._handle, model, table.revision, left)
                    return True
            await asyncio.sleep(POLL_S)
        return False

    async def place(self, model: str, version: str, placement: Literal["inline", "dedicated"]) -> str:
        """Move the version with all the traffic into the gateway, or out again."""
        serving = self._settings.serving
        if placement == "inline":
            followed = await move_inline(self._store, self._handle, model, version, serving.deploy_timeout_s)
            return f"version {version} of {model} is inline in {followed.replicas} gateway replicas"
        client = connect(self._settings.mlflow)
        out = await move_out(client, self._store, self._handle, model, version, serving)
        return f"version {version} of {model} is {out.app}, healthy after {out.seconds:.1f} s"

    async def deployed(self) -> list[DeployedVersion]:
        """Return what is deployed."""
        states = running()
        found = []
        for table in (await self._store.read_all()).values():
            for route in table.routes:
                own = route.placement == "dedicated"
                app, state = (route.app, states.get(route.app, "gone")) if own else ("gateway", "")
                found.append(DeployedVersion(table.model, route.version, route.weight, route.placement, app, state))
        return found


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Versions]:
    """Connect to Ray, the gateway and Redis for the block's duration."""
    with cluster(settings.ray), gateway(settings.gateway.app_name) as handle:
        redis = connect_redis(settings.redis)
        try:
            yield Versions(settings, RouteStore(redis), handle)
        finally:
            await redis.aclose()
