"""``/releases``: begin, look at, steer and follow releases, for whoever holds a key with the scope release."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import blake2b
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from app.errors import (
    InvalidArgumentError,
    PermissionDeniedError,
    TidegateError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from app.registry import RegistryError
from app.releases.api.errors import RedisUnavailableError
from app.releases.api.event_stream import ReleaseFeed, Subscription, TooManySubscribersError
from app.releases.api.release_body import AuditBody, ReleaseBody, SummaryBody, audit_body, release_body, summary_body
from app.releases.control.cluster_state import ServeUnavailableError
from app.releases.control.controller import NotLeadingError, ReleaseAdmissionError, UnknownReleaseError
from app.releases.control.release_store import RETENTION_COUNT, LiveReleaseError, ReleaseStore
from app.releases.lifecycle.orders import ORDERS, Order, OrderRefusedError, option_schemas, parse_order
from app.releases.model.names import HEALTH_PATH, PREFIX
from app.releases.model.plan import ReleasePlan, parse
from app.releases.model.release import Release
from app.web.bearer import caller_of, key_required
from app.web.keys import Authenticator, Scope
from app.web.openapi_parts import responses

MAX_LISTED = 1_000
KEEP_ALIVE_S = 15.0
"""Longest silence on a stream of events, seconds: no proxy takes it for dead, and a caller knows when it is."""
RETRY_MS = 1_000
"""What an event source waits before it connects again, milliseconds."""

_OF_A_KEY = (UnauthenticatedError, PermissionDeniedError, UnavailableError)

Count = Annotated[int, Query(ge=1, le=MAX_LISTED, description="How many at most")]
OfModel = Annotated[str | None, Query(description="Of this model only")]


class Decider(Protocol):
    """The controller as the routes use it; see ``app.releases.control.controller.Controller``."""

    async def begin(self, model: str, version: str, plan: ReleasePlan, who: str) -> Release: ...

    async def order(self, release: str, order: Order, who: str) -> Release: ...


class BeginBody(BaseModel):
    """A release to begin."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="A registered model", min_length=1)
    version: Annotated[int, Field(ge=1, strict=True)] | Annotated[str, Field(min_length=1)] = Field(
        description="The challenger: a version's number, or an alias in the registry", examples=[2, "challenger"]
    )
    plan: dict[str, Any] = Field(
        description="As in the schema ReleasePlan; durations also as text with a unit (90s, 5m, 2h), and a latency "
        "objective always so (250ms)",
        examples=[
            {
                "strategy": "canary",
                "steps": [{"weight": 0.05, "min_duration": "5m", "max_duration": "1h"}],
                "guards": [{"metric": "errors", "tolerance": 1.5}],
            }
        ],
    )


def router(
    store: ReleaseStore,
    controller: Decider,
    feed: ReleaseFeed,
    authenticator: Authenticator,
    keep_alive_s: float = KEEP_ALIVE_S,
) -> APIRouter:
    """The routes.

    Args:
        keep_alive_s: longest silence on a stream of events, seconds.
    """

    authenticate = key_required(authenticator, Scope.RELEASE, "An API key with the scope release (or admin)")
    routes = APIRouter(prefix=PREFIX, tags=["releases"], dependencies=[Depends(authenticate)])

    @routes.post(
        "",
        status_code=201,
        responses=_responses(
            InvalidArgumentError,
            TooLargeError,
            ReleaseAdmissionError,
            LiveReleaseError,
            NotLeadingError,
            RegistryError,
            RedisUnavailableError,
            ServeUnavailableError,
        ),
    )
    async def begin(body: BeginBody, request: Request, response: Response) -> ReleaseBody:
        """Begins a release, once all about it has been checked: one of a model at a time."""
        release = await controller.begin(body.model, str(body.version), parse(body.plan), caller_of(request).key_id)
        response.headers["location"] = f"{PREFIX}/{release.id}"
        return release_body(release)

    @routes.get("", responses=_responses(InvalidArgumentError, RedisUnavailableError))
    async def newest(model: OfModel = None, count: Count = 20) -> list[SummaryBody]:
        """Releases, the newest first."""
        return [summary_body(release) for release in await _newest(store, model, count)]

    @routes.get("/audit", responses=_responses(InvalidArgumentError, RedisUnavailableError))
    async def audit(model: OfModel = None, count: Count = 100) -> list[AuditBody]:
        """The audit log: each change with its author, and the phase before and after; the newest first."""
        return [audit_body(entry) for entry in await store.audit(count, model)]

    @routes.get("/{release}", responses=_responses(UnknownReleaseError, RedisUnavailableError))
    async def read(release: str) -> ReleaseBody:
        """A release: where it is, what it waits for, what the judge says, and what happened."""
        return release_body(await _read(store, release))

    @routes.post(
        "/{release}/{verb}",
        responses=_responses(
            InvalidArgumentError, UnknownReleaseError, OrderRefusedError, NotLeadingError, RedisUnavailableError
        ),
        openapi_extra={"parameters": _order_options()},
    )
    async def order(
        release: str, verb: Annotated[str, Path(json_schema_extra={"enum": [*ORDERS]})], request: Request
    ) -> ReleaseBody:
        """Gives an order. Given twice it does what it does given once, promote if it names its step."""
        given = parse_order(verb, request.query_params)
        return release_body(await controller.order(release, given, caller_of(request).key_id))

    @routes.get(
        "/{release}/events",
        response_class=StreamingResponse,
        responses=_responses(UnknownReleaseError, TooManySubscribersError, RedisUnavailableError)
        | {
            200: {
                "description": "The present state at once, then every change until the release ends. An event's name "
                "is release, its data a ReleaseBody as JSON. Comments keep the connection alive.",
                "content": {"text/event-stream": {}},
            },
            204: {"description": "It has ended, and the caller has its last event: there is nothing to follow"},
        },
    )
    async def events(
        release: str,
        last_event_id: Annotated[str | None, Header(description="The last event that the caller has")] = None,
    ) -> Response:
        """Follows a release by server-sent events."""
        present = await _read(store, release)
        if present.is_final and _event(present)[0] == last_event_id:
            return Response(status_code=204)
        return EventStream(feed, present, last_event_id, keep_alive_s)

    return routes


def health(feed: ReleaseFeed) -> APIRouter:
    """The route that needs no key."""
    routes = APIRouter(tags=["releases"])

    @routes.get(HEALTH_PATH, responses=responses([UnavailableError]))
    async def ready() -> dict[Literal["ready"], bool]:
        """Readiness: Redis has been reached."""
        if feed.age_s is None:
            raise UnavailableError("Redis has not been reached yet")
        return {"ready": True}

    return routes


class EventStream(StreamingResponse):
    """Server-sent events of one release; follows it for as long as it is being sent, and no longer.

    Args:
        known: id of an event that the caller has and is not sent again.
    """

    def __init__(self, feed: ReleaseFeed, present: Release, known: str | None, keep_alive_s: float) -> None:
        super().__init__(
            iter(()), media_type="text/event-stream", headers={"cache-control": "no-store", "x-accel-buffering": "no"}
        )
        self._feed, self._present, self._known, self._keep_alive_s = feed, present, known, keep_alive_s

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        with self._feed.subscribe(self._present) as subscription:  # raises before anything is sent
            self.body_iterator = stream(subscription, self._known, self._keep_alive_s)
            await super().__call__(scope, receive, send)


async def stream(subscription: Subscription, known: str | None, keep_alive_s: float) -> AsyncIterator[str]:
    """Server-sent events (WHATWG HTML, 9.2); one whose id is ``known`` is not repeated."""
    yield f"retry: {RETRY_MS}\n\n"
    async for state in subscription.changes(keep_alive_s):
        if state is None:
            yield ": still there\n\n"
            continue
        id_, data = _event(state)
        if id_ != known:  # the judge's own state changes at every tick and is not shown
            known = id_
            yield f"event: release\nid: {id_}\ndata: {data}\n\n"


def _event(release: Release) -> tuple[str, str]:
    """Id and data. The id follows from the data, so it means the same whoever sends it."""
    data = release_body(release).model_dump_json()
    return blake2b(data.encode(), digest_size=8).hexdigest(), data


async def _newest(store: ReleaseStore, model: str | None, count: int) -> list[Release]:
    looked_at = count
    while True:
        held = await store.newest(looked_at)
        found = [release for release in held if model is None or release.model == model][:count]
        if model is None or len(found) == count or looked_at >= RETENTION_COUNT:
            return found
        looked_at = min(4 * looked_at, RETENTION_COUNT)


async def _read(store: ReleaseStore, release: str) -> Release:
    found = await store.read(release)
    if found is None:
        raise UnknownReleaseError(f"there is no release {release!r}")
    return found


def _order_options() -> list[dict[str, Any]]:
    """The query parameters of all orders, as OpenAPI has them: each name once."""
    found: dict[str, dict[str, Any]] = {}
    for verb, order in ORDERS.items():
        for name, schema in option_schemas(order):
            text = f"Of {verb}: {schema.get('description', name)}"
            if name in found:
                found[name]["description"] += f". {text}"
            else:
                found[name] = {"name": name, "in": "query", "required": False, "schema": schema, "description": text}
    return list(found.values())


def _responses(*errors: type[TidegateError]) -> dict[int | str, dict[str, Any]]:
    return responses((*_OF_A_KEY, *errors))
