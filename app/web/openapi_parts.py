"""What the descriptions of several protocols share in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from app.errors import ResourceExhaustedError, TidegateError

Errors = Collection[type[TidegateError]]

SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string", "description": "What is wrong, and what would be accepted"}},
    },
    "MlflowError": {
        "type": "object",
        "required": ["error_code", "message"],
        "properties": {
            "error_code": {"type": "string", "examples": ["BAD_REQUEST"]},
            "message": {"type": "string", "description": "What is wrong, and what would be accepted"},
        },
    },
}

SECURITY: list[dict[str, Any]] = [{"HTTPBearer": []}, {}]
"""A key, or none where the settings have the scope predict in ``anonymous``."""

REPLY_HEADERS: dict[str, Any] = {
    "x-model-version": {"schema": {"type": "string"}, "required": True, "description": "The version that answered"},
    "x-failed-versions": {"schema": {"type": "string"}, "description": "Versions that failed before it"},
    "x-prediction-cache": {"schema": {"const": "hit"}, "description": "The answer was given before"},
    "x-feature-status": {"schema": {"type": "string"}, "description": "What the feature store had for it"},
    "traceparent": {"schema": {"type": "string"}, "required": True, "description": "This request's trace and span"},
}

HEADERS: list[dict[str, Any]] = [
    {
        "name": "x-sticky-key",
        "in": "header",
        "schema": {"type": "string"},
        "description": "Requests with the same key meet the same version",
    },
    {
        "name": "x-model-version",
        "in": "header",
        "schema": {"type": "string"},
        "description": "A deployed version that must answer; for keys with the scope release and, during a release, "
        "those that its plan names",
    },
    {
        "name": "x-request-id",
        "in": "header",
        "schema": {"type": "string"},
        "description": "Comes back with the reply",
    },
    {
        "name": "traceparent",
        "in": "header",
        "schema": {"type": "string"},
        "description": "The caller's span (W3C Trace Context)",
    },
    {
        "name": "Content-Encoding",
        "in": "header",
        "schema": {"type": "string", "enum": ["gzip", "deflate", "identity"]},
        "description": "How the body is compressed, if it is",
    },
]
"""The headers that every inference route reads."""


def responses(
    errors: Errors, schema: str = "Error", statuses: Mapping[type[TidegateError], int] | None = None
) -> dict[int | str, dict[str, Any]]:
    """The responses of these errors, and of a defect of the gateway (500).

    Args:
        schema: the body, one of ``SCHEMAS``.
        statuses: of the errors whose status in this protocol is not their own.
    """
    found: dict[int | str, dict[str, Any]] = {}
    every: tuple[type[TidegateError], ...] = (*errors, TidegateError)
    for error in sorted(every, key=lambda error: error.status):
        status = (statuses or {}).get(error, error.status)
        sentence = (error.__doc__ or "").splitlines()[0] if error is not TidegateError else "A defect of the gateway."
        if status in found:
            found[status]["description"] += f" {sentence}"
            continue
        found[status] = {
            "description": sentence,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
        }
        if error.retry_after_s is not None or error is ResourceExhaustedError:
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


MODEL = path_parameter("model", "A registered model")
VERSION = path_parameter("version", "A deployed version")
