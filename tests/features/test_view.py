"""Declarations of feature views: what is refused, and what their schema depends on."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from app.features import REJECT, Catalog, Feature, FeatureView
from tests.features.views import BASE, SECOND, TAIL


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Last", "float64", 0.0), "feature: name 'Last' takes lower case"),
        (("x", "float16", 0.0), "feature x: dtype 'float16' is none of float64, float32, int64, bool, string"),
        (("x", "float64", "0"), r"feature x: when_missing takes REJECT or a default; '0' \(str\) is no float64"),
        (("x", "float64", None), r"None \(NoneType\) is no float64"),
        (("x", "float32", 1e39), "is no float32"),
        (("x", "int64", 2**63), "is no int64"),
        (("x", "int64", True), r"True \(bool\) is no int64"),
        (("x", "bool", 1), r"1 \(int\) is no bool"),
        (("x", "string", "\ud800"), "is no string"),
    ],
)
def test_a_feature_is_refused_by_name_and_value(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Feature(*arguments)


def test_a_default_has_the_features_type() -> None:
    assert isinstance(Feature("x", "float64", 1).when_missing, float)
    assert Feature("x", "float32", 0.1).when_missing == 0.10000000149011612
    assert Feature("x", "int64", REJECT).when_missing is REJECT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a:b"}, "feature view: name 'a:b' takes"),
        ({"entity": ()}, r"feature view tail: entity \(\) takes"),
        ({"entity": "tailnum"}, "entity 'tailnum' takes a tuple"),
        ({"entity": ("a", "a")}, "entity names 'a' more than once"),
        ({"features": ()}, r"features \(\) takes a tuple"),
        ({"features": (Feature("x", "bool", REJECT),) * 2}, "features names 'x' more than once"),
        ({"features": (Feature("age", "int64", 0),)}, "would hide the derived column tail_age"),
        ({"ttl": 0}, "ttl 0 takes whole seconds"),
        ({"ttl": 1.5}, "ttl 1.5 takes whole seconds"),
        ({"event_time": ""}, "event_time '' takes a text"),
        ({"source": ""}, "source '' takes a text"),
    ],
)
def test_a_view_is_refused_by_field_and_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TAIL, **change)


def test_view_is_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        TAIL.ttl = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"ttl": 9, "source": "elsewhere", "event_time": "t", "entity": ("tail",)}, True),
        ({"features": (Feature("last", "float64", REJECT), Feature("count", "int64", 7))}, True),
        ({"name": "tails"}, False),
        ({"features": TAIL.features[::-1]}, False),
        ({"features": (Feature("last", "float32", 0.0), TAIL.features[1])}, False),
        ({"features": (Feature("latest", "float64", 0.0), TAIL.features[1])}, False),
        ({"features": TAIL.features[:1]}, False),
    ],
)
def test_the_schema_is_the_name_and_the_typed_features(change: dict[str, Any], same: bool) -> None:
    assert (replace(TAIL, **change).schema == TAIL.schema) is same


def test_the_schema_is_the_same_in_every_process() -> None:
    assert TAIL.schema == "a19bc579f4647646"


@pytest.mark.parametrize(("age", "fresh"), [(-1, True), (0, True), (60 * SECOND, True), (60 * SECOND + 1, False)])
def test_row_is_fresh_up_to_and_with_the_ttl(age: int, fresh: bool) -> None:
    assert BASE.is_fresh(1000, 1000 + age) is fresh


def test_a_catalog_knows_which_views_make_columns() -> None:
    catalog = Catalog((TAIL, BASE))
    assert catalog.needed(["base_hub", "base_age"]) == (BASE,)
    assert catalog.needed(["base_hub", "tail_last"]) == (TAIL, BASE)
    assert catalog.needed([]) == ()
    with pytest.raises(ValueError, match="makes tail_first; there are tail_last, tail_count, tail_age"):
        catalog.needed(["tail_first"])


def test_a_catalog_refuses_names_that_collide() -> None:
    def view(name: str, feature: str) -> FeatureView:
        return replace(TAIL, name=name, features=(Feature(feature, "bool", REJECT),))

    with pytest.raises(ValueError, match="feature view tail is declared more than once"):
        Catalog((TAIL, replace(TAIL, ttl=1)))
    with pytest.raises(ValueError, match="feature views a and a_b both make the column a_b_c"):
        Catalog((view("a", "b_c"), view("a_b", "c")))
