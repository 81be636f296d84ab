"""Parts that the OpenAPI documents of all HTTP faces share: errors, keys, parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from fastapi import FastAPI

from app.errors import ResourceExhaustedError, TidegateError

ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What is wrong, and what would be accepted"}},
}
SECURITY: list[dict[str, Any]] = [{"HTTPBearer": []}, {}]
"""A key, or none where the settings have the scope predict in ``anonymous``."""
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


def responses(
    errors: Collection[type[TidegateError]],
    schema: str = "Error",
    statuses: Mapping[type[TidegateError], int] | None = None,
) -> dict[int | str, dict[str, Any]]:
    """The responses of these errors, and of a defect (500).

    Args:
        schema: the body's, by its name in the document.
        statuses: of the errors whose status in this protocol is not their own.
    """
    found: dict[int | str, dict[str, Any]] = {}
    every: tuple[type[TidegateError], ...] = (*errors, TidegateError)
    for error in sorted(every, key=lambda error: error.status):
        status = int((statuses or {}).get(error, error.status))
        sentence = "A defect." if error is TidegateError else (error.__doc__ or "").splitlines()[0]
        if status in found:
            found[status]["description"] += f" {sentence}"
            continue
        found[status] = {
            "description": sentence,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
        }
        if error.retry_after_s is not None or issubclass(error, ResourceExhaustedError):
            found[status]["headers"] = {
                "Retry-After": {"schema": {"type": "integer"}, "description": "When to try again, seconds"}
            }
    return found


def by_text(found: Mapping[int | str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Responses as the document itself has them: under the status as text."""
    return {str(status): response for status, response in sorted(found.items(), key=lambda item: str(item[0]))}


def path_parameter(name: str, description: str) -> dict[str, Any]:
    """A parameter in the path."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": description}


def complete_document(
    api: FastAPI, paths: Mapping[str, Any] | None = None, schemas: Mapping[str, Any] | None = None
) -> None:
    """Lets ``api`` serve a document with the shape of its errors, and with what FastAPI does not know of.

    Args:
        paths: operations of routes that FastAPI does not run, by path.
        schemas: schemas that they refer to, by name.
    """
    generated = api.openapi

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            found = generated()
            _drop_422(found)
            found["paths"] |= paths or {}
            held = found.setdefault("components", {}).setdefault("schemas", {})
            for name in _FASTAPIS_OWN:
                held.pop(name, None)
            held |= {"Error": ERROR_SCHEMA, **(schemas or {})}
            api.openapi_schema = found
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]


def _drop_422(document: dict[str, Any]) -> None:
    """FastAPI promises a 422 wherever there is a parameter; the faces reply with 400 to what it finds wrong."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
