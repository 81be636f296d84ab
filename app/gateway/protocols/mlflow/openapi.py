"""The scoring route of MLflow's protocol in the OpenAPI document: it runs below FastAPI."""

from __future__ import annotations

from typing import Any

from app.gateway.errors import OF_INFERENCE
from app.gateway.protocols.mlflow.routes import STATUS
from app.web.openapi_parts import HEADERS, MODEL, REPLY_HEADERS, SECURITY, by_text, responses

_ROWS = {"type": "array", "minItems": 1}
_REQUEST: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "properties": {
        "dataframe_split": {
            "type": "object",
            "additionalProperties": False,
            "required": ["data"],
            "description": "DataFrame.to_dict(orient='split')",
            "properties": {
                "columns": {"type": ["array", "null"], "items": {"type": ["string", "integer"]}},
                "index": {"type": ["array", "null"]},
                "data": {**_ROWS, "items": {"type": "array"}},
            },
        },
        "dataframe_records": {
            **_ROWS,
            "items": {"type": "object"},
            "description": "DataFrame.to_dict(orient='records')",
        },
        "instances": {**_ROWS, "description": "Rows: objects, lists of cells by position, values of the only input"},
        "inputs": {"description": "An object with a list of values per input, or instances"},
        "params": {"type": ["object", "null"], "description": "Those of the model's signature"},
    },
    "oneOf": [{"required": [name]} for name in ("dataframe_split", "dataframe_records", "instances", "inputs")],
}
_REPLY: dict[str, Any] = {
    "type": "object",
    "required": ["predictions"],
    "properties": {"predictions": {"description": "A nested list, a list of records, or an object of lists"}},
}


def paths() -> dict[str, Any]:
    """The ``paths`` of the document, by path."""
    return {
        "/models/{model}/invocations": {
            "post": {
                "tags": ["MLflow scoring protocol"],
                "operationId": "invocations",
                "summary": "Score",
                "description": "Answered by the version that the split picks for the sticky key or entity.",
                "parameters": [MODEL, *HEADERS],
                "security": SECURITY,
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": _REQUEST},
                        "text/csv": {"schema": {"type": "string"}},
                    },
                },
                "responses": {
                    "200": {
                        "description": "The predictions",
                        "headers": REPLY_HEADERS,
                        "content": {"application/json": {"schema": _REPLY}},
                    },
                    **by_text(responses(OF_INFERENCE, "MlflowError", STATUS)),
                },
            }
        }
    }
