"""The fronts that the gateway serves: the one list that its ingress, its OpenAPI document and the manifests go by."""

from __future__ import annotations

from app.gateway.admin.front import ROUTE_TABLES
from app.gateway.feedback.front import FEEDBACK
from app.gateway.front import Front, PublicPath
from app.gateway.protocols.mlflow.front import MLFLOW
from app.gateway.protocols.v1.front import V1
from app.gateway.protocols.v2.front import V2

FRONTS: tuple[Front, ...] = (V2, V1, MLFLOW, FEEDBACK, ROUTE_TABLES)

DOCUMENT_PATHS = (PublicPath("/docs", exact=True), PublicPath("/openapi.json", exact=True))
"""The paths of the OpenAPI document, which all fronts share."""
