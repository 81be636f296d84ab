"""A declaration as plain values, there and back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from app.features import Feature, from_document, to_document
from tests.features.views import BASE, TAIL

NUMBER = replace(TAIL, features=(Feature("x", "float64", math.nan), Feature("y", "float32", 0.1)))


@pytest.mark.parametrize("view", [TAIL, BASE, NUMBER])
def test_document_survives_json(view: Any) -> None:
    found = from_document(json.loads(json.dumps(to_document(view), allow_nan=False)))
    assert found == view
    assert found.schema == view.schema


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ttl": "5"}, r"feature view 'tail': its document is refused: Expected `int`, got `str` - at `\$.ttl`"),
        ({"ttl": 0}, "feature view tail: ttl 0 takes"),
        ({"entity": []}, r"`\$.entity`"),
        ({"features": [{"name": "x", "dtype": "int64", "when_missing": {"default": None}}]}, "no missing number"),
        ({"features": [{"name": "x", "dtype": "float16", "when_missing": "refuse"}]}, "Invalid enum value"),
        ({"features": [{"name": "x", "dtype": "bool", "when_missing": "later"}]}, "when_missing"),
    ],
)
def test_invalid_document_is_refused_by_view_and_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_document({**to_document(TAIL), **change})


def test_a_default_is_finite_or_a_missing_number() -> None:
    assert Feature("x", "float64", float("nan")) == Feature("x", "float64", math.nan)
    with pytest.raises(ValueError, match="feature x: when_missing inf takes a finite number or NaN"):
        Feature("x", "float64", math.inf)


def test_fields_of_a_newer_version_are_ignored_in_view_and_feature() -> None:
    document = to_document(TAIL)
    newer = {
        **document,
        "schema": 2,
        "owner": "team-a",
        "features": [{**feature, "unit": "minutes"} for feature in document["features"]],
    }
    assert from_document(newer) == TAIL
