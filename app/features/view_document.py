"""A feature view as plain values, to travel with a model and to be registered: JSON's types only, no NaN.

Documents are read as ``app.stored_document`` says: fields of a newer version (``schema`` above 1) are ignored, and
:func:`carried_over` keeps them when the document is written again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from app.features.dtypes import Dtype, Value
from app.features.view import REJECT, Feature, FeatureView, MissingPolicy


class _Default(msgspec.Struct, frozen=True):
    default: Value | None


class _Feature(msgspec.Struct, frozen=True):
    name: str
    dtype: Dtype
    when_missing: Literal["refuse"] | _Default


class _View(msgspec.Struct, frozen=True):
    name: str
    entity: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    features: tuple[_Feature, ...]
    ttl: int
    event_time: str
    source: str


def to_document(view: FeatureView) -> dict[str, Any]:
    """The declaration: a ``null`` default is a missing number (NaN)."""
    return {
        "name": view.name,
        "entity": list(view.entity),
        "features": [
            {"name": feature.name, "dtype": feature.dtype, "when_missing": _when_missing(feature)}
            for feature in view.features
        ],
        "ttl": view.ttl,
        "event_time": view.event_time,
        "source": view.source,
    }


def from_document(document: Mapping[str, Any]) -> FeatureView:
    """The inverse of :func:`to_document`.

    Raises:
        ValueError: it is no declaration; the message names view and field.
    """
    name = document.get("name") if isinstance(document, Mapping) else None
    try:
        found = msgspec.convert(document, _View)
    except ValueError as error:
        raise ValueError(f"feature view {name!r}: its document is refused: {error}") from None
    features = tuple(_feature(found.name, feature) for feature in found.features)
    return FeatureView(found.name, found.entity, features, found.ttl, found.event_time, found.source)


def carried_over(held: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """``document`` with the fields of ``held``, of the same view, that this version does not know."""
    known_features = {feature["name"]: feature for feature in held["features"]}
    return {
        **{name: value for name, value in held.items() if name not in _View.__struct_fields__},
        **document,
        "features": [
            {
                **{
                    name: value
                    for name, value in known_features.get(feature["name"], {}).items()
                    if name not in _Feature.__struct_fields__
                },
                **feature,
            }
            for feature in document["features"]
        ],
    }


def _when_missing(feature: Feature) -> str | dict[str, Value | None]:
    default = feature.when_missing
    if isinstance(default, MissingPolicy):
        return "refuse"
    return {"default": None if isinstance(default, float) and math.isnan(default) else default}


def _feature(view: str, feature: _Feature) -> Feature:
    if not isinstance(feature.when_missing, _Default):
        return Feature(feature.name, feature.dtype, REJECT)
    default = feature.when_missing.default
    if default is None and feature.dtype not in ("float64", "float32"):
        raise ValueError(f"feature view {view!r}: feature {feature.name}: a {feature.dtype} has no missing number")
    return Feature(feature.name, feature.dtype, math.nan if default is None else default)
