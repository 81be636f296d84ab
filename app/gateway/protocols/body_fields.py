"""Fields of request bodies in the OpenAPI document, beyond their types. They describe and do not validate: decoding
raises the protocols' own sentences."""

from __future__ import annotations

from typing import Any

import msgspec


def schema(**more: Any) -> msgspec.Meta:
    """Keywords of JSON Schema for an ``Annotated`` field."""
    return msgspec.Meta(extra_json_schema=more)


ROWS = schema(minItems=1, description="Rows: objects, lists of cells by position, values of the only input")
COLUMNS = schema(description="An object with a list of values per input, or instances")
MODEL_PARAMETERS = schema(description="Those of the model's signature")
