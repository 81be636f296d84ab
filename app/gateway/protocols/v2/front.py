"""The Open Inference Protocol (V2) over HTTP as a front."""

from __future__ import annotations

from app.gateway.front import Front, PublicPath
from app.gateway.protocols.v2 import openapi, routes

V2 = Front(
    "Open Inference Protocol",
    (PublicPath("/v2"),),
    raw_routes=routes.raw_routes,
    router=routes.router,
    openapi_paths=openapi.paths,
    schemas=openapi.SCHEMAS,
)
