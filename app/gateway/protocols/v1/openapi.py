"""The inference route of KServe's V1 in the OpenAPI document: it runs below FastAPI."""

from __future__ import annotations

from typing import Any

from app.gateway.errors import OF_INFERENCE
from app.web.openapi_parts import HEADERS, MODEL, REPLY_HEADERS, SECURITY, by_text, responses

_REQUEST: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "instances": {
            "type": "array",
            "minItems": 1,
            "description": "Rows: objects, lists of cells by position, values of the only input",
        },
        "inputs": {"description": "An object with a list of values per input, or instances"},
        "parameters": {"type": "object", "description": "Those of the model's signature"},
    },
    "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
}
_REPLY: dict[str, Any] = {
    "type": "object",
    "required": ["predictions"],
    "properties": {
        "predictions": {
            "type": "array",
            "description": "One per row: a value, or an object where there are several outputs",
        }
    },
}


def paths() -> dict[str, Any]:
    """The ``paths`` of the document, by path."""
    return {
        "/v1/models/{model}:predict": {
            "post": {
                "tags": ["KServe V1"],
                "operationId": "predict",
                "summary": "Predict",
                "description": "Answered by the version that the split picks for the sticky key or entity.",
                "parameters": [MODEL, *HEADERS],
                "security": SECURITY,
                "requestBody": {"required": True, "content": {"application/json": {"schema": _REQUEST}}},
                "responses": {
                    "200": {
                        "description": "The predictions",
                        "headers": REPLY_HEADERS,
                        "content": {"application/json": {"schema": _REPLY}},
                    },
                    **by_text(responses(OF_INFERENCE)),
                },
            }
        }
    }
