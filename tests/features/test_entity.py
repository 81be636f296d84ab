"""Names of entities: from a request's columns, and as keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features import EntityError, entities
from app.features.entity import MAX_KEY_BYTES, key_of
from tests.features.views import BASE, TAIL

TEXT = st.text(min_size=1, max_size=8) | st.text(alphabet=":%{}3A5", min_size=1, max_size=6)
PAIRS = st.tuples(TEXT, TEXT)


def text(*values: object) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=object)


def test_entities_of_rows() -> None:
    columns = {"carrier": text("AA", "", "ü", None), "origin": np.array([1, 2, 3, 4]), "other": text(1, 2, 3, 4)}
    assert entities(BASE, columns) == (("AA", 1), None, ("ü", 3), None)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"carrier": text("AA")}, "feature view base needs the column origin"),
        ({}, "feature view base needs the columns carrier, origin"),
        ({"carrier": text("AA"), "origin": np.array([1.5])}, r"holds 1.5 \(float\)"),
        ({"carrier": text("AA"), "origin": np.array([True])}, r"holds True \(bool\)"),
        ({"carrier": text(b"AA"), "origin": text("JFK")}, r"holds b'AA' \(bytes\)"),
    ],
)
def test_values_that_name_no_entity_are_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(EntityError, match=message):
        entities(BASE, columns)


@pytest.mark.parametrize(
    ("entity", "message"),
    [
        (("N1", "N2"), "takes one value for each of tailnum"),
        ((), "takes one value for each of tailnum"),
        (("",), "holds ''"),
        (("\ud800",), "is no text"),
        (("x" * MAX_KEY_BYTES,), "makes a key of"),
    ],
)
def test_entity_without_a_valid_key_is_refused(entity: tuple[str | int, ...], message: str) -> None:
    with pytest.raises(EntityError, match=message):
        key_of(TAIL, entity)


def test_key_of_an_entity_is_escaped_text() -> None:
    assert key_of(BASE, ("A:A", 5)) == b"tidegate:{feature}:base:A%3AA:5"


@given(PAIRS, PAIRS)
def test_different_entities_have_different_keys(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (key_of(BASE, one) == key_of(BASE, other)) is (one == other)


@given(PAIRS)
def test_all_keys_lie_in_one_slot_of_a_cluster(entity: tuple[str, str]) -> None:
    key = key_of(BASE, entity)
    start = key.index(b"{")
    assert key[start : key.index(b"}", start) + 1] == b"{feature}"  # the tag is what the first braces hold
