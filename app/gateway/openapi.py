"""The OpenAPI document: what FastAPI knows of, and the routes that run below it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app.gateway.feedback import openapi as feedback_openapi
from app.gateway.protocols.mlflow import openapi as mlflow_openapi
from app.gateway.protocols.v1 import openapi as v1_openapi
from app.gateway.protocols.v2 import openapi as v2_openapi
from app.web.openapi_parts import SCHEMAS

_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


def describe(api: FastAPI) -> None:
    """Let ``api`` serve the whole document."""
    generated = api.openapi

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            found = generated()
            _without_422(found)
            for front in (v2_openapi, v1_openapi, mlflow_openapi, feedback_openapi):
                found["paths"] |= front.paths()
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            for name in _FASTAPIS_OWN:
                schemas.pop(name, None)
            schemas |= SCHEMAS
            api.openapi_schema = found
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]


def _without_422(document: dict[str, Any]) -> None:
    """FastAPI promises a 422 wherever there is a parameter; what it finds wrong is answered with 400 here."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
