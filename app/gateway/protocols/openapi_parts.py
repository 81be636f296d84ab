"""Parts that the OpenAPI descriptions of several protocols share: the operation of an inference route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.errors import TidegateError
from app.gateway.errors import OF_INFERENCE
from app.gateway.request_attributes import AttributeTable, RequestAttributes
from app.web.openapi_parts import SECURITY, by_text, path_parameter, responses

REF = "#/components/schemas/{name}"

MODEL = path_parameter("model", "A registered model")
VERSION = path_parameter("version", "A deployed version")
CONTENT_ENCODING: dict[str, Any] = {
    "name": "Content-Encoding",
    "in": "header",
    "schema": {"type": "string", "enum": ["gzip", "deflate", "identity"]},
    "description": "How the body is compressed, if it is",
}
REPLY_HEADERS: dict[str, Any] = {
    "x-model-version": {"schema": {"type": "string"}, "required": True, "description": "The version that answered"},
    "x-failed-versions": {"schema": {"type": "string"}, "description": "Versions that failed before it"},
    "x-prediction-cache": {"schema": {"const": "hit"}, "description": "The answer was given before"},
    "x-feature-status": {"schema": {"type": "string"}, "description": "What the feature store had for it"},
    "traceparent": {"schema": {"type": "string"}, "required": True, "description": "This request's trace and span"},
}


def schemas_of(*structs: type[msgspec.Struct]) -> dict[str, Any]:
    """The schemas of the structs that bodies are decoded into, and of those within them, by name."""
    _, components = msgspec.json.schema_components(structs, ref_template=REF)
    return components


def inference_operation(
    table: AttributeTable[RequestAttributes],
    name: str,
    tag: str,
    summary: str,
    requests: Mapping[str, Any],
    replies: Mapping[str, Any],
    *,
    description: str = "Answered by the version that the split picks for the sticky key or entity.",
    path: Sequence[Mapping[str, Any]] = (MODEL,),
    headers: Sequence[Mapping[str, Any]] = (),
    reply_headers: Mapping[str, Any] | None = None,
    error_schema: str = "Error",
    statuses: Mapping[type[TidegateError], int] | None = None,
) -> dict[str, Any]:
    """``POST`` of an inference route.

    Args:
        requests, replies: schemas by media type.
        headers, reply_headers: the protocol's own, beside those that all have.
        statuses: of the errors whose status in this protocol is not their own.
    """
    ok = {
        "description": "The outputs",
        "headers": {**REPLY_HEADERS, **(reply_headers or {})},
        "content": {kind: {"schema": schema} for kind, schema in replies.items()},
    }
    return {
        "post": {
            "tags": [tag],
            "operationId": name,
            "summary": summary,
            "description": description,
            "parameters": [*path, *table.parameters(), CONTENT_ENCODING, *headers],
            "security": SECURITY,
            "requestBody": {
                "required": True,
                "content": {kind: {"schema": schema} for kind, schema in requests.items()},
            },
            "responses": {"200": ok, **by_text(responses(OF_INFERENCE, error_schema, statuses))},
        }
    }


def ref(struct: type[msgspec.Struct]) -> dict[str, str]:
    """A reference to a struct's schema."""
    return {"$ref": REF.format(name=struct.__name__)}
