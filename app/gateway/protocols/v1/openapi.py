"""The inference route of KServe's V1 in the OpenAPI document: it bypasses FastAPI."""

from __future__ import annotations

from typing import Any

from app.gateway.protocols.openapi_parts import inference_operation, ref, schemas_of
from app.gateway.protocols.v1.routes import V1Request
from app.gateway.request_attributes import AttributeTable, RequestAttributes

SCHEMAS = schemas_of(V1Request)
SCHEMAS["V1Request"]["oneOf"] = [{"required": ["instances"]}, {"required": ["inputs"]}]
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


def paths(table: AttributeTable[RequestAttributes]) -> dict[str, Any]:
    """The ``paths`` of the document, by path."""
    return {
        "/v1/models/{model}:predict": inference_operation(
            table,
            "predict",
            "KServe V1",
            "Predict",
            {"application/json": ref(V1Request)},
            {"application/json": _REPLY},
        )
    }
