"""The life of a version on the cluster: deploy → healthy → warm → known to the gateway; and back again.

Nothing here gives or takes weight. A version enters the route table at weight 0, and one that has weight cannot be
removed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from mlflow import MlflowClient
from ray.serve.handle import DeploymentHandle

from app.routing.readback import PLACED, Followed, NotFollowedError, await_followed
from app.routing.route_store import RouteStore
from app.routing.route_table import (
    Route,
    RouteError,
    RouteTable,
    with_entity,
    with_inline,
    with_version,
    without_version,
)
from app.serving.deploy import Deployed, applications_of, delete, deploy, running
from app.settings import ServingSettings

FOLLOW_TIMEOUT_S = 10.0
LOAD_TIMEOUT_S = 60.0
"""Time the gateway replicas have to load a version that moves inline, seconds."""


async def bring_up(
    client: MlflowClient,
    store: RouteStore,
    gateway: DeploymentHandle[Any],
    model: str,
    version: str,
    defaults: ServingSettings,
    entity: str | None = None,
) -> Deployed:
    """Deploys ``version`` and enters it into the route table at weight 0, seen by every gateway replica.

    Idempotent: a version that is in the table and runs is left as it is; one whose application is gone (the Ray
    cluster was lost, the table was not) is deployed anew and keeps its weight.

    Args:
        entity: input column whose value is the sticky key; set when given, else left as it is.

    Raises:
        RegistryError, DeployError: see ``app.serving.deploy.deploy``.
        RouteError, NotFollowedError: the table could not be changed, or a gateway replica does not follow.
    """
    held = await store.read(model)
    app = held.apps.get(version) if held else None
    if held is not None and app is not None and await _answers(held.route(version)):
        if entity is not None and entity != held.entity:
            held = await store.change(model, lambda table, now_ms: with_entity(table, entity, now_ms))
        await await_followed(gateway, model, held.revision, FOLLOW_TIMEOUT_S)
        return Deployed(model, version, app, 0.0)
    deployed = await asyncio.to_thread(deploy, client, model, version, defaults)

    def entered(table: RouteTable, now_ms: int) -> RouteTable:
        deployed_table = with_version(table, version, deployed.app, now_ms, instead_of=app)
        return deployed_table if entity is None else with_entity(deployed_table, entity, now_ms)

    try:
        table = await store.change(model, entered)
    except BaseException:
        await asyncio.to_thread(delete, deployed.app)
        raise
    await await_followed(gateway, model, table.revision, FOLLOW_TIMEOUT_S)
    await _delete_unnamed(store, model, version)
    return deployed


async def move_inline(
    store: RouteStore, gateway: DeploymentHandle[Any], model: str, version: str, timeout_s: float
) -> Followed:
    """Lets the gateway replicas themselves answer with ``version``; its own replicas go once all have loaded it.

    Idempotent. A gateway replica that has not loaded the version yet goes on asking the version's own replicas.

    Args:
        timeout_s: time the gateway replicas have to load it.

    Raises:
        RouteError: it is not deployed, or has not all the traffic: a challenger starts in replicas of its own.
        NotFollowedError: a gateway replica could not load it in time; the version stays where it was.
    """
    held = await store.read(model)
    if held is None:
        raise RouteError(f"model {model} has no route table; nothing of it is deployed")
    route = held.route(version)
    if route.weight < 1:
        raise RouteError(
            f"version {version} of {model} has weight {route.weight:g}; only one with all the traffic moves inline"
        )
    if route.placement != "inline":
        held = await store.change(model, lambda table, now_ms: with_inline(table, version, now_ms))
    try:
        followed = await await_followed(gateway, model, held.revision, timeout_s, PLACED)
    except NotFollowedError:
        if await _runs(route):
            await store.change(
                model, lambda table, now_ms: with_version(table, version, route.app, now_ms, instead_of=route.app)
            )
        raise
    for app in await asyncio.to_thread(applications_of, model, version):
        await asyncio.to_thread(delete, app)
    return followed


async def move_out(
    client: MlflowClient,
    store: RouteStore,
    gateway: DeploymentHandle[Any],
    model: str,
    version: str,
    defaults: ServingSettings,
) -> Deployed:
    """Gives an inline version replicas of its own again; the gateway replicas let go of it once those are healthy.

    Idempotent.

    Raises:
        RouteError, RegistryError, DeployError, NotFollowedError: as in ``bring_up``.
    """
    held = await store.read(model)
    route = held.route(version) if held else None
    if held is None or route is None or route.placement != "inline":
        return await bring_up(client, store, gateway, model, version, defaults)
    deployed = await asyncio.to_thread(deploy, client, model, version, defaults)
    try:
        table = await store.change(
            model,
            lambda table, now_ms: with_version(table, version, deployed.app, now_ms, instead_of=route.app),
        )
    except BaseException:
        await asyncio.to_thread(delete, deployed.app)
        raise
    await await_followed(gateway, model, table.revision, FOLLOW_TIMEOUT_S)
    return deployed


async def take_down(store: RouteStore, gateway: DeploymentHandle[Any], model: str, version: str) -> Followed:
    """Removes ``version`` from the route table, waits until every gateway replica follows, then deletes it.

    Idempotent: when an earlier call ended half-way, this one deletes what the table no longer names.

    Raises:
        RouteError: it has weight, or is not deployed; nothing was changed.
        NotFollowedError: a gateway replica does not follow; the application still runs, call again.
        DeployError: it was not gone in time.
    """
    held = await store.read(model)
    left = await asyncio.to_thread(applications_of, model, version)
    if held is None and not left:
        raise RouteError(f"model {model} has no route table; nothing of it is deployed")
    if held is None:  # its first version was being deployed when who did that died
        await _delete_unnamed(store, model, version)
        return Followed(revision=0, replicas=0, seconds=0.0)
    if version in held.apps or not left:
        held = await store.change(model, lambda table, now_ms: without_version(table, version, now_ms))
    followed = await await_followed(gateway, model, held.revision, FOLLOW_TIMEOUT_S)
    await _delete_unnamed(store, model, version)
    return followed


async def _answers(route: Route) -> bool:
    return route.placement == "inline" or await _runs(route)


async def _runs(route: Route) -> bool:
    # Serve's controller may take long to answer, while it starts again: the lease is renewed on this loop.
    return (await asyncio.to_thread(running)).get(route.app) == "RUNNING"


async def _delete_unnamed(store: RouteStore, model: str, version: str) -> None:
    """Deletes the version's applications that the route table does not name (any more)."""
    table = await store.read(model)
    named = table.apps.values() if table else ()
    for app in await asyncio.to_thread(applications_of, model, version):
        if app not in named:
            await asyncio.to_thread(delete, app)
