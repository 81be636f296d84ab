"""KServe's V1 protocol as a front."""

from __future__ import annotations

from app.gateway.front import Front, PublicPath
from app.gateway.protocols.v1 import openapi, routes

V1 = Front(
    "KServe V1",
    (PublicPath("/v1"), PublicPath("/", exact=True)),
    raw_routes=routes.raw_routes,
    router=routes.router,
    openapi_paths=openapi.paths,
    schemas=openapi.SCHEMAS,
)
