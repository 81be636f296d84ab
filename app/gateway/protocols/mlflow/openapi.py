"""The scoring route of MLflow's protocol in the OpenAPI document: it bypasses FastAPI."""

from __future__ import annotations

from typing import Any

from app.gateway.protocols.mlflow.routes import FORMATS, STATUS, ScoringRequest
from app.gateway.protocols.openapi_parts import inference_operation, ref, schemas_of
from app.gateway.request_attributes import AttributeTable, RequestAttributes

SCHEMAS = schemas_of(ScoringRequest) | {
    "MlflowError": {
        "type": "object",
        "required": ["error_code", "message"],
        "properties": {
            "error_code": {"type": "string", "examples": ["BAD_REQUEST"]},
            "message": {"type": "string", "description": "What is wrong, and what would be accepted"},
        },
    }
}
SCHEMAS["ScoringRequest"]["oneOf"] = [{"required": [name]} for name in FORMATS]
_REPLY: dict[str, Any] = {
    "type": "object",
    "required": ["predictions"],
    "properties": {"predictions": {"description": "A nested list, a list of records, or an object of lists"}},
}


def paths(table: AttributeTable[RequestAttributes]) -> dict[str, Any]:
    """The ``paths`` of the document, by path."""
    return {
        "/models/{model}/invocations": inference_operation(
            table,
            "invocations",
            "MLflow scoring protocol",
            "Score",
            {"application/json": ref(ScoringRequest), "text/csv": {"type": "string"}},
            {"application/json": _REPLY},
            error_schema="MlflowError",
            statuses=STATUS,
        )
    }
