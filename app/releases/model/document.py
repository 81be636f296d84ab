"""A release as the JSON document that Redis holds. Pure.

Documents of older versions lack fields, which get their defaults; those of newer versions have more, at any depth,
which stay through every change and are written back. ``schema`` (absent: 1) is one of them to this version.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from app.releases.model.release import Release


def encode(release: Release) -> str:
    """The document as stored."""
    return json.dumps(_with_extra(release, json.loads(release.model_dump_json())))


def decode(document: str | bytes) -> Release:
    """The inverse of :func:`encode`.

    Raises:
        pydantic.ValidationError: it is no release, or a known field has a value that this version does not know.
    """
    return Release.model_validate_json(document, extra="allow")


def _with_extra(value: Any, dumped: Any) -> Any:
    """The dump of a model with the fields that it has beyond its class."""
    if isinstance(value, BaseModel):
        known = {name: _with_extra(getattr(value, name), each) for name, each in dumped.items()}
        return {**known, **(value.model_extra or {})}
    if isinstance(value, tuple | list):
        return [_with_extra(one, each) for one, each in zip(value, dumped, strict=True)]
    return dumped
