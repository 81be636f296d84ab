"""The route for labels as a front."""

from __future__ import annotations

from app.gateway.feedback import openapi, routes
from app.gateway.front import Front, PublicPath

FEEDBACK = Front(
    "labels",
    (PublicPath("/feedback", exact=True),),
    raw_routes=routes.raw_routes,
    openapi_paths=openapi.paths,
    schemas=openapi.SCHEMAS,
)
