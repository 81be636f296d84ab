"""The OpenAPI document: FastAPI's own, completed by the routes that bypass FastAPI."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app.gateway.feedback import openapi as feedback_openapi
from app.gateway.protocols.mlflow import openapi as mlflow_openapi
from app.gateway.protocols.v1 import openapi as v1_openapi
from app.gateway.protocols.v2 import openapi as v2_openapi
from app.web.openapi_parts import complete_document


def describe(api: FastAPI) -> None:
    """Have ``api`` serve the whole document."""
    paths: dict[str, Any] = {}
    for front in (v2_openapi, v1_openapi, mlflow_openapi, feedback_openapi):
        paths |= front.paths()
    complete_document(api, paths, {"MlflowError": mlflow_openapi.ERROR_SCHEMA})
