"""``POST /releases/registry-events``: MLflow's webhook says that something has changed in the registry.

It is a hint and no more: what is released is read from the registry itself. MLflow sends no ``Authorization``, but
signs with the webhook's secret (its ``mlflow.webhooks.delivery``, after the Standard Webhooks specification):
HMAC-SHA256 over ``ID.TIMESTAMP.BODY``, in base64 behind ``v1,``.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel, Field, ValidationError

from app.errors import (
    InvalidArgumentError,
    PermissionDeniedError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from app.releases.api.errors import RegistryTriggersOffError
from app.releases.model.names import PREFIX
from app.releases.model.tags import CHALLENGER_ALIAS, PLAN_TAG
from app.releases.registry.poller import RegistryPoller
from app.web.bearer import authorization, bearer_scheme
from app.web.keys import Authenticator, Scope
from app.web.openapi_parts import responses

PATH = f"{PREFIX}/registry-events"
SIGNATURE, TIMESTAMP, DELIVERY = "x-mlflow-signature", "x-mlflow-timestamp", "x-mlflow-delivery-id"
MAX_BYTES = 64 * 1024
"""Longest body; the tag of a version holds 5,000 characters."""
MAX_AGE_S = 300.0
"""Farthest that a signed delivery's time may lie from ours, seconds: one that was overheard is soon worth nothing."""

_bearer = bearer_scheme("An API key with the scope release (or admin); signed: none")


class EventBody(BaseModel):
    """An event as MLflow's webhooks send it."""

    entity: str = Field(description="Of what", examples=["model_version_alias"])
    action: str = Field(description="What was done", examples=["created"])
    data: dict[str, Any] = Field(examples=[{"name": "flights", "version": "2", "alias": "challenger"}])


class HeardBody(BaseModel):
    """The effect of an event."""

    looks: bool = Field(description="Whether the registry is looked at now; false: the event is of nothing released")


def router(
    poller: RegistryPoller, authenticator: Authenticator, secret: str | None, clock: Callable[[], float] = time.time
) -> APIRouter:
    """The route.

    Args:
        secret: the webhook's; None: every caller needs a key.
        clock: seconds since the epoch.
    """
    routes = APIRouter(tags=["releases"])

    @routes.post(
        PATH,
        status_code=202,
        responses=responses(
            (
                InvalidArgumentError,
                TooLargeError,
                UnauthenticatedError,
                PermissionDeniedError,
                UnavailableError,
                RegistryTriggersOffError,
            )
        ),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": EventBody.model_json_schema()}},
            }
        },
    )
    async def hear(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> HeardBody:
        """Looks at the registry at once for what it asks to be released, rather than at the next interval. With the
        webhook's secret in the settings, its signature stands for a key."""
        if secret is not None and SIGNATURE in request.headers:
            body = await _limited(request)
            check(request.headers, body, secret, clock())
        else:
            authenticator.authenticate(authorization(credentials), Scope.RELEASE)
            body = await _limited(request)
        event = _event(body)
        if not poller.is_on:
            raise RegistryTriggersOffError(
                "TIDEGATE_RELEASES_REGISTRY_POLL_S is 0: nothing in the registry begins a release"
            )
        looks = concerns(event)
        if looks:
            poller.hint()
        return HeardBody(looks=looks)

    return routes


def check(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> None:
    """Checks a delivery's signature.

    Raises:
        UnauthenticatedError: it is not by this secret, or too old.
    """
    timestamp, delivery = headers.get(TIMESTAMP, ""), headers.get(DELIVERY, "")
    signed = f"{delivery}.{timestamp}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()
    if not hmac.compare_digest(headers.get(SIGNATURE, "").encode(), wanted.encode()):
        raise UnauthenticatedError(f"{SIGNATURE} is not by the secret in TIDEGATE_RELEASES_WEBHOOK_SECRET")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > MAX_AGE_S:
        raise UnauthenticatedError(f"{TIMESTAMP} {timestamp!r}: accepted is a time within {MAX_AGE_S:g} s of ours")


def concerns(event: EventBody) -> bool:
    """True where an event can ask for a release."""
    data = event.data
    match event.entity, event.action:
        case "model_version_alias", "created":
            return data.get("alias") == CHALLENGER_ALIAS
        case "model_version_tag", "set":
            return data.get("key") == PLAN_TAG
        case "model_version", "created":
            tags = data.get("tags")
            return isinstance(tags, dict) and PLAN_TAG in tags
        case _:
            return False


async def _limited(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise TooLargeError(f"the body has more than {MAX_BYTES:,} bytes; accepted are no more")
    return bytes(body)


def _event(body: bytes) -> EventBody:
    try:
        return EventBody.model_validate_json(body)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors())
        raise InvalidArgumentError("; ".join(problems)) from None
