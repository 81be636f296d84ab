"""``GET`` and ``PUT /routes/{model}``: the route table, for whoever holds a key with the scope admin."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from ray.serve.handle import DeploymentHandle
from redis.exceptions import RedisError

from app.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from app.gateway.errors import OF_A_MODEL, ModelNotFoundError
from app.gateway.front import FrontContext
from app.routing.readback import NotFollowedError, await_followed, gateway_handle
from app.routing.route_store import RevisionConflictError, RouteStore
from app.routing.route_table import RouteTable, with_entity, with_weights
from app.web.bearer import key_required
from app.web.keys import Scope
from app.web.openapi_parts import responses

FOLLOW_TIMEOUT_S = 5.0


class RouteBody(BaseModel):
    """One deployed version in a reply."""

    version: str
    app: str = Field(description="Its Serve application")
    weight: float = Field(description="Its share of the traffic, 0 to 1")


class FollowedBody(BaseModel):
    """The read-back: every gateway replica was seen to follow this revision."""

    replicas: int
    seconds: float = Field(description="From the change to the last replica seen, seconds")


class ReleaseContextBody(BaseModel):
    """A release under way."""

    release: str = Field(description="Its id")
    champion: str | None = Field(description="None for the first version of a model")
    challenger: str
    mirror: float = Field(
        description="Share of the champion's requests that the challenger answers too, unseen by callers"
    )


class TableBody(BaseModel):
    """A route table."""

    model: str
    revision: int
    entity: str | None = Field(description="Input column whose value is the sticky key when the caller sends none")
    routes: list[RouteBody]
    trial: ReleaseContextBody | None = Field(description="The release that decides the weights, if one is under way")
    followed: FollowedBody


class ChangeBody(BaseModel):
    """New weights. Deployed versions that are not named get 0."""

    model_config = ConfigDict(extra="forbid")

    weights: dict[str, float] = Field(
        description="Version -> weight; they sum to 1, or all are 0", examples=[{"1": 0.9, "2": 0.1}]
    )
    entity: str | None = Field(None, description="Change the sticky column too (empty: none); leave out to keep it")
    if_revision: int | None = Field(None, description="Refuse the change unless this revision is in force")


def router(context: FrontContext) -> APIRouter:
    """The routes over the replica's store of route tables."""
    store = context.store
    gateway: Callable[[], DeploymentHandle[Any]] = cache(lambda: gateway_handle(context.settings.gateway.app_name))
    admin = key_required(context.admission.authenticator, Scope.ADMIN, "An API key with the scope admin")
    routes = APIRouter(prefix="/routes", tags=["route table"], dependencies=[Depends(admin)])

    @routes.get("/{model}", responses=responses((*OF_A_MODEL, UnauthenticatedError, PermissionDeniedError)))
    async def read(model: str) -> TableBody:
        """The table in force, and how long it took to see every gateway replica follow it."""
        table = await _read(store, model)
        return await _followed(gateway(), table)

    @routes.put(
        "/{model}",
        responses=responses(
            (*OF_A_MODEL, UnauthenticatedError, PermissionDeniedError, InvalidArgumentError, FailedPreconditionError)
        ),
    )
    async def change(model: str, body: ChangeBody) -> TableBody:
        """Sets the weights, which a release under way forbids; answers once every gateway replica follows."""
        await _read(store, model)

        def apply(held: RouteTable, now_ms: int) -> RouteTable:
            if body.if_revision is not None and held.revision != body.if_revision:
                raise RevisionConflictError(
                    f"if_revision is {body.if_revision}, but revision {held.revision} of {model} is in force"
                )
            changed = with_weights(held, body.weights, now_ms)
            return changed if body.entity is None else with_entity(changed, body.entity, now_ms)

        try:
            table = await store.change(model, apply)
        except RedisError as error:
            raise UnavailableError(
                "Redis is away: whether the route table was changed is not known; read it again"
            ) from error
        return await _followed(gateway(), table)

    return routes


async def _read(store: RouteStore, model: str) -> RouteTable:
    try:
        table = await store.read(model)
    except RedisError as error:
        raise UnavailableError("the route table cannot be read while Redis is away") from error
    if table is None:
        raise ModelNotFoundError(f"model {model!r} has no route table; deploy a version of it first")
    return table


async def _followed(gateway: DeploymentHandle[Any], table: RouteTable) -> TableBody:
    try:
        seen = await await_followed(gateway, table.model, table.revision, FOLLOW_TIMEOUT_S)
    except NotFollowedError as error:
        raise UnavailableError(f"revision {table.revision} is stored, but {error}; read it again") from error
    return TableBody(
        model=table.model,
        revision=table.revision,
        entity=table.entity,
        routes=[RouteBody(version=r.version, app=r.app, weight=r.weight) for r in table.routes],
        trial=_release_context(table),
        followed=FollowedBody(replicas=seen.replicas, seconds=seen.seconds),
    )


def _release_context(table: RouteTable) -> ReleaseContextBody | None:
    context = table.release_context
    if context is None:
        return None
    return ReleaseContextBody(
        release=context.release,
        champion=context.champion,
        challenger=context.challenger,
        mirror=context.mirror,
    )
