"""Declarations and keys that cannot be are refused by name; those that can are Feast's bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.features import Entity, EntityError
from app.features.feast import FeastView, JoinKey
from app.features.feast.keys import EntityKeys, hash_fields
from tests.features.feast.recorded import FEAST_0_67_0
from tests.features.feast.views import AIRPORT, CARRIER, FEAST_ROUTES, FEAST_WEATHER, ROWS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"project": ""}, "project '' takes a text"),
        ({"name": ""}, "name '' takes a text"),
        ({"features": ("ratio",)}, "one distinct name for each of ratio, score"),
        ({"features": ("ratio",) * 7}, "one distinct name for each of ratio, score"),
        ({"features": ("",) * 7}, "feature '' takes a text"),
        ({"join_keys": (CARRIER,)}, "one distinct name for each of carrier, airport"),
        ({"join_keys": (CARRIER, CARRIER)}, "one distinct name for each of carrier, airport"),
    ],
)
def test_a_view_that_does_not_fit_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(FEAST_ROUTES, **change)


@pytest.mark.parametrize(
    ("name", "type_", "said"), [("", "int64", "name ''"), ("x", "float", "type 'float' is none")]
)
def test_join_key_without_name_or_of_an_unsupported_type_is_refused(name: str, type_: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        JoinKey(name, type_)


@pytest.mark.parametrize("source", list(ROWS), ids=lambda source: source.name)
def test_keys_and_fields_are_those_of_feast_0_67_0(source: FeastView) -> None:
    keys = EntityKeys(source)
    for entity in ROWS[source]:
        held = FEAST_0_67_0[keys.key_of(entity).hex()]
        assert {field.hex() for field in hash_fields(source)} <= held.keys()


def test_a_number_and_its_text_are_one_entity() -> None:
    keys = EntityKeys(FEAST_ROUTES)
    assert keys.key_of(("17", "7")) == keys.key_of((17, 7))
    assert keys.key_of(("AA", -1)) != keys.key_of(("AA", 1))


def test_the_same_number_of_another_type_has_another_key() -> None:
    int64 = replace(FEAST_WEATHER, join_keys=(JoinKey("station", "int64"),))
    assert EntityKeys(FEAST_WEATHER).key_of((1,)) != EntityKeys(int64).key_of((1,))


@pytest.mark.parametrize(
    "entity",
    [
        ("AA",),
        ("AA", 7, 7),
        ("", 7),
        (True, 7),
        ("\ud800", 7),
        ("A" * 1000, 7),
        ("AA", True),
        ("AA", "7a"),
        ("AA", "07"),
        ("AA", ""),
        ("AA", 2**63),
        ("AA", -(2**63) - 1),
        ("AA", 1.5),
    ],
    ids=repr,
)
def test_entity_that_does_not_fit_its_join_key_is_refused(entity: Entity) -> None:
    with pytest.raises(EntityError, match="feature view routes"):
        EntityKeys(FEAST_ROUTES).key_of(entity)


def test_a_refusal_says_what_the_key_takes() -> None:
    with pytest.raises(EntityError, match=r"'JFK' \(str\); Feast's join key airport is int64: whole numbers"):
        EntityKeys(replace(FEAST_ROUTES, join_keys=(CARRIER, AIRPORT))).key_of(("AA", "JFK"))
    with pytest.raises(EntityError, match="station is int32: whole numbers of 32 bits"):
        EntityKeys(FEAST_WEATHER).key_of((2**31,))
