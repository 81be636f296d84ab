"""A front: one public face of the gateway, complete in one value.

``app.gateway.fronts`` lists those that are served. The ingress, the OpenAPI document and the checks of the edge's and
the mesh's manifests go by that list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import APIRouter
from starlette.routing import Route

from app.gateway.access.admission import Admission
from app.gateway.feedback.ingestion import Feedback
from app.gateway.inference.dataplane import DataPlane
from app.gateway.request_attributes import AttributeTable, RequestAttributes
from app.routing.route_store import RouteStore
from app.settings import Settings


class FrontContext(Protocol):
    """The parts of a gateway replica that fronts are made over."""

    settings: Settings
    plane: DataPlane
    admission: Admission
    feedback: Feedback
    store: RouteStore
    attributes: AttributeTable[RequestAttributes]

    def ready(self) -> bool:
        """True where this replica may take traffic."""


@dataclass(frozen=True, slots=True)
class PublicPath:
    """A path that the edge routes to the gateway: all below it, or itself alone."""

    path: str
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Front:
    """One public face.

    Attributes:
        public_paths: its paths at the edge.
        raw_routes: makes the routes that bypass FastAPI, whose endpoints are ASGI applications that make every reply
            themselves: FastAPI costs more than the rest of a request's way.
        router: makes the routes that FastAPI runs.
        openapi_paths: describes the raw routes, as the ``paths`` of an OpenAPI document.
        schemas: the schemas that these refer to, by name.
        has_deadline: True where every reply comes within TIDEGATE_ROUTING_DEADLINE_S: then the edge's time limit must
            be longer. False where a reply may take any time: then the edge must have none.
    """

    name: str
    public_paths: tuple[PublicPath, ...]
    raw_routes: Callable[[FrontContext], Sequence[Route]] | None = None
    router: Callable[[FrontContext], APIRouter] | None = None
    openapi_paths: Callable[[AttributeTable[RequestAttributes]], Mapping[str, Any]] | None = None
    schemas: Mapping[str, Any] = field(default_factory=dict)
    has_deadline: bool = True
