"""The route for labels in the OpenAPI document: it runs below FastAPI."""

from __future__ import annotations

from typing import Any

from app.errors import (
    InvalidArgumentError,
    OverloadedError,
    PermissionDeniedError,
    ResourceExhaustedError,
    TooLargeError,
    UnauthenticatedError,
    UnsupportedMediaError,
)
from app.gateway.errors import OF_A_MODEL
from app.gateway.feedback.ingestion import MAX_TIME_S
from app.gateway.trace_context import MAX_REQUEST_ID
from app.web.openapi_parts import HEADERS, SECURITY, by_text, responses

_ERRORS = (
    *OF_A_MODEL,
    UnauthenticatedError,
    PermissionDeniedError,
    ResourceExhaustedError,
    InvalidArgumentError,
    TooLargeError,
    UnsupportedMediaError,
    OverloadedError,
)


def _instant(description: str) -> dict[str, Any]:
    return {
        "description": f"{description}: seconds since the epoch, or by RFC 3339",
        "oneOf": [
            {"type": "number", "minimum": 0, "maximum": MAX_TIME_S},
            {"type": "string", "format": "date-time"},
        ],
    }


_COMMON: dict[str, Any] = {
    "model": {"type": "string", "description": "A model that is served"},
    "label": {"type": "number", "minimum": 0, "maximum": 1, "description": "What came true"},
    "event_time": _instant("When the label became known; now, if it is left out"),
}


def _of(**prediction: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "label", *prediction],
        "properties": _COMMON | prediction,
    }


_LABEL: dict[str, Any] = {
    "oneOf": [
        _of(
            request_id={
                "type": "string",
                "pattern": f"^[ -~]{{1,{MAX_REQUEST_ID}}}$",
                "description": "The prediction's, as its reply had it in x-request-id",
            }
        ),
        _of(
            entity={"oneOf": [{"type": "string"}, {"type": "integer"}], "description": "The prediction's sticky key"},
            at=_instant("About when it was predicted; the entity's nearest prediction is meant"),
        ),
    ]
}
_REPLY: dict[str, Any] = {
    "type": "object",
    "required": ["accepted"],
    "properties": {"accepted": {"type": "integer", "description": "How many labels were taken: all of them"}},
}


def paths() -> dict[str, Any]:
    """The ``paths`` of the document, by path."""
    return {
        "/feedback": {
            "post": {
                "tags": ["labels"],
                "operationId": "feedback",
                "summary": "Say what came true",
                "description": "One label or a list of them, each of a prediction of one row. The first label of a "
                "prediction counts. All are taken or none.",
                "parameters": [header for header in HEADERS if header["name"] == "Content-Encoding"],
                "security": SECURITY,
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {"anyOf": [_LABEL, {"type": "array", "minItems": 1, "items": _LABEL}]}
                        }
                    },
                },
                "responses": {
                    "202": {"description": "Taken", "content": {"application/json": {"schema": _REPLY}}},
                    **by_text(responses(_ERRORS)),
                },
            }
        }
    }
