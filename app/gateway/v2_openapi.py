"""The inference routes in the OpenAPI document: they run below FastAPI, which would write this otherwise."""

from __future__ import annotations

from typing import Any

from app.gateway.v2_binary import LENGTH_HEADER

_INFER: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "id": {"type": "string"},
                        "inputs": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["name", "shape", "datatype", "data"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "shape": {"type": "array", "items": {"type": "integer"}},
                                    "datatype": {"type": "string"},
                                    "data": {"type": "array", "items": {}},
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
                                        "type": "object",
                                        "properties": {"binary_data": {"type": "boolean"}},
                                    },
                                },
                            },
                        },
                        "parameters": {
                            "type": "object",
                            "properties": {"binary_data_output": {"type": "boolean"}},
                        },
                    },
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "parameters": [
        {
            "name": "x-sticky-key",
            "in": "header",
            "schema": {"type": "string"},
            "description": "Requests with the same key meet the same version",
        },
        {
            "name": LENGTH_HEADER,
            "in": "header",
            "schema": {"type": "integer", "minimum": 1},
            "description": "Length of the JSON object in bytes, where binary tensors follow it",
        },
        {
            "name": "Content-Encoding",
            "in": "header",
            "schema": {"type": "string", "enum": ["gzip", "deflate"]},
            "description": "How the body is compressed, if it is",
        },
    ],
    "responses": {
        "200": {
            "description": "The outputs, in JSON or, where asked for, as binary data",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
}


def paths() -> dict[str, Any]:
    """The ``paths`` of the document, by path."""
    model = _path("model", "A registered model")
    version = _path("version", "A deployed version")
    tags = ["Open Inference Protocol"]
    split = {
        **_INFER,
        "tags": tags,
        "operationId": "infer",
        "summary": "Infer",
        "description": "Answered by the version that the split picks for the sticky key or entity.",
        "parameters": [model, *_INFER["parameters"]],
    }
    pinned = {
        **_INFER,
        "tags": tags,
        "operationId": "infer_version",
        "summary": "Infer by one version",
        "description": "Answered by this deployed version and no other, whatever its weight.",
        "parameters": [model, version, *_INFER["parameters"]],
    }
    return {
        "/v2/models/{model}/infer": {"post": split},
        "/v2/models/{model}/versions/{version}/infer": {"post": pinned},
    }


def _path(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": description}
