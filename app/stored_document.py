"""Documents in Redis outlive the version that wrote them: a reader keeps, and writes back, fields it does not know.

A document carries ``schema``, a whole number, where it is not 1. A greater one than the reader knows is read as far
as it is understood; since unknown fields stay, ``schema`` among them, nothing of it is lost when it is written back.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

UNKNOWN = "unknown"
"""Attribute that holds the unknown fields of a document, as JSON text; empty for none. It is never stored itself."""


def with_unknown(document: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The known fields of a document as read, and the others as text under ``unknown``."""
    found = {name: value for name, value in document.items() if name in known and name != UNKNOWN}
    others = {name: value for name, value in document.items() if name not in found}
    return {**found, UNKNOWN: json.dumps(others) if others else ""}


def as_stored(document: dict[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`with_unknown`."""
    unknown = document.pop(UNKNOWN, "")
    return {**document, **json.loads(unknown)} if unknown else document
