"""The route for labels in the OpenAPI document: it bypasses FastAPI."""

from __future__ import annotations

from typing import Any

from app.errors import (
    OverloadedError,
)
from app.gateway.errors import OF_A_BODY
from app.gateway.feedback.ingestion import LabelBody
from app.gateway.protocols.openapi_parts import CONTENT_ENCODING, ref, schemas_of
from app.gateway.request_attributes import AttributeTable, RequestAttributes
from app.web.openapi_parts import SECURITY, by_text, responses

SCHEMAS = schemas_of(LabelBody)
SCHEMAS["LabelBody"]["oneOf"] = [
    {"required": ["request_id"], "not": {"anyOf": [{"required": ["entity"]}, {"required": ["at"]}]}},
    {"required": ["entity", "at"], "not": {"required": ["request_id"]}},
]
_ERRORS = (*OF_A_BODY, OverloadedError)
_REPLY: dict[str, Any] = {
    "type": "object",
    "required": ["accepted"],
    "properties": {"accepted": {"type": "integer", "description": "How many labels were taken: all of them"}},
}


def paths(_: AttributeTable[RequestAttributes]) -> dict[str, Any]:
    """The ``paths`` of the document, by path."""
    body = {"anyOf": [ref(LabelBody), {"type": "array", "minItems": 1, "items": ref(LabelBody)}]}
    return {
        "/feedback": {
            "post": {
                "tags": ["labels"],
                "operationId": "feedback",
                "summary": "Say what came true",
                "description": "One label or a list of them, each of a prediction of one row. The first label of a "
                "prediction counts. All are taken or none.",
                "parameters": [CONTENT_ENCODING],
                "security": SECURITY,
                "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
                "responses": {
                    "202": {"description": "Taken", "content": {"application/json": {"schema": _REPLY}}},
                    **by_text(responses(_ERRORS)),
                },
            }
        }
    }
