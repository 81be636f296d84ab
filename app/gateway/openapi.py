"""The OpenAPI document: what FastAPI knows of, and the routes that run below it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app.gateway import v2_openapi


def describe(api: FastAPI) -> None:
    """Let ``api`` serve the whole document."""
    generated = api.openapi

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            found = generated()
            found["paths"] |= v2_openapi.paths()
            api.openapi_schema = found
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]
