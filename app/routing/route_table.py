"""The route table: per model, which versions are deployed and what share of the traffic each one gets. Pure.

Every change is a new table with a higher revision. Revisions grow with the wall clock (milliseconds), not by
one: a Redis that lost its last second, or all its data, must not hand out again a revision that some gateway
replica has already applied with other weights.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import msgspec
from msgspec import structs

from app.errors import FailedPreconditionError, InvalidArgumentError
from app.routing.release_context import ReleaseContext
from app.stored_document import as_stored, with_unknown

Placement = Literal["dedicated", "inline"]

WEIGHT_TOLERANCE = 1e-9


class RouteError(InvalidArgumentError, ValueError):
    """A change of the route table that cannot be honoured; the message says what would be."""


class ReleaseUnderWayError(FailedPreconditionError, RouteError):
    """A change that would interfere with a release."""


@dataclass(frozen=True, slots=True)
class Route:
    """One deployed version.

    Attributes:
        app: its Serve application; of a version that has moved inline, the one that it had.
        weight: its share of the traffic, 0 to 1.
        placement: whether it answers in that application or in the gateway replicas themselves.
        unknown: fields of a newer version.
    """

    version: str
    app: str
    weight: float = 0.0
    placement: Placement = "dedicated"
    unknown: str = ""


class RouteTable(msgspec.Struct, frozen=True, rename={"release_context": "trial"}):
    """The routes of one model, which every gateway replica follows. Stored as JSON under these names, but ``trial``
    for ``release_context``.

    Attributes:
        model: the registered model's name.
        revision: grows with every change.
        salt: key of the split's hash; kept for the model's life, so that keys stay with their versions.
        entity: name of the input column whose value is the sticky key when the caller sends none.
        routes: the deployed versions, oldest first. Weights sum to 1, or all are 0 (no version answers yet).
        release_context: the release under way; as long as there is one, it alone decides the weights.
        fence: the highest fencing token that a release's change came with; one with a lower token is refused.
        unknown: fields of a newer version, kept as they are (``app.stored_document``).
    """

    model: str
    revision: int
    salt: str
    entity: str | None = None
    routes: tuple[Route, ...] = ()
    release_context: ReleaseContext | None = None
    fence: int = 0
    unknown: str = ""

    @property
    def weights(self) -> dict[str, float]:
        """Version -> weight, every deployed version."""
        return {route.version: route.weight for route in self.routes}

    @property
    def apps(self) -> dict[str, str]:
        """Version -> Serve application."""
        return {route.version: route.app for route in self.routes}

    def route(self, version: str) -> Route:
        """A deployed version's route.

        Raises:
            RouteError: the version is not deployed.
        """
        for route in self.routes:
            if route.version == version:
                return route
        raise RouteError(
            f"version {version} of {self.model} is not deployed; deployed: {', '.join(self.apps) or 'none'}"
        )

    def encode(self) -> bytes:
        """The document as stored in Redis."""
        document = as_stored(msgspec.to_builtins(self))
        document["routes"] = [as_stored(route) for route in document["routes"]]
        if document["trial"] is not None:
            document["trial"] = as_stored(document["trial"])
            if not document["trial"]["guards"]:  # of an older controller
                del document["trial"]["guards"]
        return msgspec.json.encode(document)


_TABLE = frozenset(RouteTable.__struct_encode_fields__)
_ROUTE = frozenset(field.name for field in fields(Route))
_CONTEXT = frozenset(field.name for field in fields(ReleaseContext))


def decode(document: bytes | str) -> RouteTable:
    """The inverse of :meth:`RouteTable.encode`.

    Raises:
        RouteError: the document is not a route table.
    """
    try:
        found = with_unknown(msgspec.json.decode(document, type=dict[str, Any]), _TABLE)
        found["routes"] = [with_unknown(route, _ROUTE) for route in found.get("routes", ())]
        if found.get("trial") is not None:
            found["trial"] = with_unknown(found["trial"], _CONTEXT)
        return msgspec.convert(found, RouteTable)
    except (msgspec.MsgspecError, AttributeError, TypeError) as error:
        raise RouteError(f"not a route table: {error}") from error


def new_table(model: str, now_ms: int, entity: str | None = None) -> RouteTable:
    """A model's first table: no versions yet."""
    return RouteTable(model=model, revision=now_ms, salt=secrets.token_hex(8), entity=entity)


def newest(held: RouteTable | None, seen: RouteTable) -> RouteTable:
    """Returns the table that counts: ``seen`` only if its revision is higher."""
    return seen if held is None or seen.revision > held.revision else held


def with_version(table: RouteTable, version: str, app: str, now_ms: int, instead_of: str | None = None) -> RouteTable:
    """The table with ``version`` deployed as ``app``: a new version at weight 0, or a known one with its weight.

    Args:
        instead_of: the application that ``version`` had and that is gone; None for a version that had none.

    Raises:
        RouteError: the version is deployed already, as another application than ``instead_of``.
    """
    held = table.apps.get(version)
    if held != instead_of:
        raise RouteError(f"version {version} of {table.model} is deployed already, as {held}")
    if held is None:
        return _changed(table, now_ms, (*table.routes, Route(version, app)))
    return _changed(
        table,
        now_ms,
        (
            replace(route, app=app, placement="dedicated") if route.version == version else route
            for route in table.routes
        ),
    )


def with_inline(table: RouteTable, version: str, now_ms: int) -> RouteTable:
    """The table with ``version`` answering in the gateway replicas.

    Raises:
        RouteError: the version is not deployed.
    """
    _known(table, version)
    return _changed(
        table,
        now_ms,
        (replace(route, placement="inline") if route.version == version else route for route in table.routes),
    )


def without_version(table: RouteTable, version: str, now_ms: int) -> RouteTable:
    """The table without ``version``.

    Raises:
        RouteError: the version is not there, or still has weight.
        ReleaseUnderWayError: it is part of a release.
    """
    if table.release_context is not None and version in (
        table.release_context.champion,
        table.release_context.challenger,
    ):
        raise ReleaseUnderWayError(
            f"version {version} of {table.model} is part of {_under_way(table.release_context)}"
        )
    weight = table.weights.get(_known(table, version), 0.0)
    if weight > 0:
        others = ", ".join(v for v in table.weights if v != version) or "none"
        raise RouteError(
            f"version {version} of {table.model} has weight {weight:g} and cannot be removed; "
            f"give its weight to another version first (deployed beside it: {others})"
        )
    return _changed(table, now_ms, (route for route in table.routes if route.version != version))


def with_entity(table: RouteTable, entity: str, now_ms: int) -> RouteTable:
    """The table with another sticky column; empty for none."""
    return structs.replace(_changed(table, now_ms, table.routes), entity=entity or None)


def with_weights(table: RouteTable, weights: Mapping[str, float], now_ms: int) -> RouteTable:
    """The table with these weights; a deployed version that is not named gets 0.

    Raises:
        RouteError: a version is not deployed, a weight is outside 0 to 1, or the weights neither sum to 1 nor are
            all 0 (which takes the model out of service).
        ReleaseUnderWayError: a release is under way.
    """
    if table.release_context is not None:
        raise ReleaseUnderWayError(f"the weights of {table.model} are those of {_under_way(table.release_context)}")
    return _changed(table, now_ms, _weighed(table, weights))


def with_release_context(
    table: RouteTable, weights: Mapping[str, float], release_context: ReleaseContext | None, fence: int, now_ms: int
) -> RouteTable:
    """The table as a release sets it: weights and context at once; no context at its end.

    Args:
        fence: fencing token of the lease that the writer holds.

    Raises:
        RouteError: as ``with_weights``, or a newer controller has written.
        ReleaseUnderWayError: another release is under way.
    """
    if fence < table.fence:
        raise RouteError(f"fencing token {fence} is older than {table.fence}: another controller has taken over")
    if (
        table.release_context is not None
        and release_context is not None
        and table.release_context.release != release_context.release
    ):
        raise ReleaseUnderWayError(f"the weights of {table.model} are those of {_under_way(table.release_context)}")
    changed = _changed(table, now_ms, _weighed(table, weights))
    return structs.replace(changed, release_context=release_context, fence=fence)


def _weighed(table: RouteTable, weights: Mapping[str, float]) -> list[Route]:
    for version, weight in weights.items():
        _known(table, version)
        if not (math.isfinite(weight) and 0 <= weight <= 1):
            raise RouteError(f"weight {weight} of version {version}: accepted is a number from 0 to 1")
    total = math.fsum(weights.values())
    out_of_service = bool(weights) and not any(weights.values())
    if abs(total - 1) > WEIGHT_TOLERANCE and not out_of_service:
        shown = ", ".join(f"{version}: {weight:g}" for version, weight in weights.items()) or "none given"
        raise RouteError(
            f"the weights of {table.model} sum to {total:g} ({shown}); "
            "they must sum to 1, or all be 0 to take the model out of service"
        )
    return [replace(route, weight=float(weights.get(route.version, 0.0))) for route in table.routes]


def _under_way(context: ReleaseContext) -> str:
    return f"release {context.release}, which is under way; cancel it first: POST /releases/{context.release}/cancel"


def _known(table: RouteTable, version: str) -> str:
    return table.route(version).version


def _changed(table: RouteTable, now_ms: int, routes: Iterable[Route]) -> RouteTable:
    return structs.replace(table, revision=max(table.revision + 1, now_ms), routes=tuple(routes))
