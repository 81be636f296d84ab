"""MLflow's scoring protocol as a front."""

from __future__ import annotations

from app.gateway.front import Front, PublicPath
from app.gateway.protocols.mlflow import openapi, routes

MLFLOW = Front(
    "MLflow scoring protocol",
    (PublicPath("/models"),),
    raw_routes=routes.raw_routes,
    router=routes.router,
    openapi_paths=openapi.paths,
    schemas=openapi.SCHEMAS,
)
