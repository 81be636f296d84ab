"""The inference routes of the Open Inference Protocol in the OpenAPI document: they run below FastAPI."""

from __future__ import annotations

from typing import Any

from app.gateway.errors import OF_INFERENCE
from app.gateway.protocols.v2.binary import LENGTH_HEADER
from app.gateway.protocols.v2.datatypes import MAX_DIMENSIONS, NUMPY
from app.web.openapi_parts import HEADERS, MODEL, REPLY_HEADERS, SECURITY, VERSION, by_text, responses

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_SHAPE = {"type": "array", "maxItems": MAX_DIMENSIONS, "items": {"type": "integer", "minimum": 0}}
_DATATYPE = {"type": "string", "enum": list(NUMPY)}
_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": ["string", "null"]},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype"],
                "properties": {
                    "name": {"type": "string"},
                    "shape": _SHAPE,
                    "datatype": _DATATYPE,
                    "data": {"type": ["array", "null"], "items": {}},
                    "parameters": {
                        "type": ["object", "null"],
                        "properties": {"binary_data_size": {"type": ["integer", "null"], "minimum": 0}},
                    },
                },
            },
        },
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "parameters": {
                        "type": ["object", "null"],
                        "properties": {"binary_data": {"type": ["boolean", "null"]}},
                    },
                },
            },
        },
        "parameters": {"type": "object", "properties": {"binary_data_output": {"type": "boolean"}}},
    },
}
_REPLY: dict[str, Any] = {
    "type": "object",
    "required": ["model_name", "model_version", "id", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype"],
                "properties": {
                    "name": {"type": "string"},
                    "shape": _SHAPE,
                    "datatype": _DATATYPE,
                    "data": {"type": "array", "items": {"type": ["number", "string", "boolean", "null"]}},
                    "parameters": {
                        "type": "object",
                        "properties": {"binary_data_size": {"type": "integer", "minimum": 0}},
                    },
                },
            },
        },
    },
}
_LENGTH: dict[str, Any] = {
    "name": LENGTH_HEADER,
    "in": "header",
    "schema": {"type": "integer", "minimum": 1},
    "description": "Length of the JSON object in bytes, where binary tensors follow it",
}


def paths() -> dict[str, Any]:
    """The ``paths`` of the document, by path."""
    return {
        "/v2/models/{model}/infer": {
            "post": _infer(
                "infer",
                "Infer",
                "Answered by the version that the split picks for the sticky key or entity.",
                [MODEL],
            )
        },
        "/v2/models/{model}/versions/{version}/infer": {
            "post": _infer(
                "infer_version",
                "Infer by one version",
                "Answered by this deployed version and no other, whatever its weight.",
                [MODEL, VERSION],
            )
        },
    }


def _infer(operation: str, summary: str, description: str, path: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "tags": ["Open Inference Protocol"],
        "operationId": operation,
        "summary": summary,
        "description": description,
        "parameters": [*path, *HEADERS, _LENGTH],
        "security": SECURITY,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _REQUEST}, "application/octet-stream": _BINARY},
        },
        "responses": {
            "200": {
                "description": "The outputs, in JSON or, where asked for, as binary data",
                "headers": {
                    **REPLY_HEADERS,
                    LENGTH_HEADER: {
                        "schema": {"type": "integer"},
                        "description": "Length of the JSON object, where binary data follow it",
                    },
                },
                "content": {"application/json": {"schema": _REPLY}, "application/octet-stream": _BINARY},
            },
            **by_text(responses(OF_INFERENCE)),
        },
    }
