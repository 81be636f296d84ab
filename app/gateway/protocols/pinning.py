"""Pinning: the choice of the version that answers, by header or metadata, and the callers who may choose."""

from __future__ import annotations

from app.errors import InvalidArgumentError, PermissionDeniedError
from app.gateway.access.admission import Admission
from app.gateway.inference.dataplane import DataPlane
from app.gateway.protocols.headers import VERSION_HEADER
from app.gateway.request_attributes import RequestAttributes
from app.routing.route_table import RouteTable
from app.web.keys import Caller, Scope

EVERYBODY = "*"


class Pinning:
    """Keys with the scope release may pin at any time; during a release, those that its plan names may, too."""

    def __init__(self, plane: DataPlane, admission: Admission) -> None:
        self._plane, self._admission = plane, admission

    def version(
        self, model: str, caller: Caller, attributes: RequestAttributes, addressed: str | None = None
    ) -> str | None:
        """The version that must answer; None where the split is to pick.

        Args:
            addressed: the version that the URL or the message names, which every caller may do.

        Raises:
            InvalidArgumentError: the two are not the same.
            PermissionDeniedError: the caller may not choose.
            ModelNotFoundError, UnavailableError: see :meth:`DataPlane.table`.
        """
        wished = attributes.version
        if not wished or wished == addressed:
            return addressed
        if addressed is not None:
            raise InvalidArgumentError(
                f"the request is for version {addressed!r}, its {VERSION_HEADER} says {wished!r}: leave one out"
            )
        table = self._plane.table(model)
        if not (_is_named(table, caller) or self._admission.is_allowed(attributes.authorization, Scope.RELEASE)):
            raise PermissionDeniedError(_refusal(table, caller), Scope.RELEASE)
        return wished


def _is_named(table: RouteTable, caller: Caller) -> bool:
    pinned = table.release_context.pinned if table.release_context is not None else ()
    return EVERYBODY in pinned or caller.key_id in pinned


def _refusal(table: RouteTable, caller: Caller) -> str:
    named = (
        f", or one that release {table.release_context.release} names" if table.release_context is not None else ""
    )
    return (
        f"{VERSION_HEADER} is for keys with the scope {Scope.RELEASE}{named}; {caller.name!r} is none: "
        f"leave it out, and the split picks the version"
    )
