"""The inference routes of the Open Inference Protocol in the OpenAPI document: they bypass FastAPI."""

from __future__ import annotations

from typing import Any

from app.gateway.protocols.openapi_parts import MODEL, VERSION, inference_operation, ref, schemas_of
from app.gateway.protocols.v2.binary import LENGTH_HEADER
from app.gateway.protocols.v2.request import V2Request
from app.gateway.request_attributes import AttributeTable, RequestAttributes

SCHEMAS = schemas_of(V2Request)
_BINARY = {"type": "string", "format": "binary"}
_TENSOR = SCHEMAS["V2Tensor"]["properties"]
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
                    **{name: _TENSOR[name] for name in ("name", "shape", "datatype")},
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


def paths(table: AttributeTable[RequestAttributes]) -> dict[str, Any]:
    """The ``paths`` of the document, by path."""

    def infer(name: str, summary: str, **more: Any) -> dict[str, Any]:
        return inference_operation(
            table,
            name,
            "Open Inference Protocol",
            summary,
            {"application/json": ref(V2Request), "application/octet-stream": _BINARY},
            {"application/json": _REPLY, "application/octet-stream": _BINARY},
            headers=[_LENGTH],
            reply_headers={LENGTH_HEADER: {key: _LENGTH[key] for key in ("schema", "description")}},
            **more,
        )

    return {
        "/v2/models/{model}/infer": infer("infer", "Infer"),
        "/v2/models/{model}/versions/{version}/infer": infer(
            "infer_version",
            "Infer by one version",
            path=[MODEL, VERSION],
            description="Answered by this deployed version and no other, whatever its weight.",
        ),
    }
