"""Parts that the OpenAPI descriptions of several protocols share."""

from __future__ import annotations

from typing import Any

from app.web.openapi_parts import path_parameter

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

MODEL = path_parameter("model", "A registered model")
VERSION = path_parameter("version", "A deployed version")
