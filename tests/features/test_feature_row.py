"""Rows as bytes: the same back, and bytes that are no row of the view."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.features import REJECT, Feature, FeatureView, Row, Value
from app.features.feature_row import MAX_EVENT_TIME, RowCodec, Unreadable

VIEW = FeatureView(
    name="all",
    entity=("key",),
    features=(
        Feature("f64", "float64", REJECT),
        Feature("f32", "float32", REJECT),
        Feature("i64", "int64", REJECT),
        Feature("flag", "bool", REJECT),
        Feature("text", "string", REJECT),
    ),
    ttl=60,
    event_time="at",
    source="events",
)
CODEC = RowCodec(VIEW)
GOOD = Row(123, (1.5, 0.5, -7, True, "ü"))

ROWS = st.builds(
    Row,
    st.integers(0, MAX_EVENT_TIME),
    st.tuples(
        st.none() | st.floats(),
        st.none() | st.floats(width=32),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.booleans(),
        st.none() | st.text(),
    ),
)


def same(one: Value | None, other: Value | None) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return np.float64(one).tobytes() == np.float64(other).tobytes() or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


@given(ROWS)
@example(Row(0, (math.nan, math.nan, 2**63 - 1, False, "\0")))
@example(Row(MAX_EVENT_TIME, (math.inf, -math.inf, -(2**63), None, "🛬")))
@example(Row(1, (-0.0, -0.0, 0, None, "")))
def test_a_row_comes_back_as_it_was(row: Row) -> None:
    back = CODEC.unpack(CODEC.pack(row))
    assert isinstance(back, Row)
    assert back.event_time == row.event_time
    assert all(same(one, other) for one, other in zip(back.values, row.values, strict=True))


def test_numbers_take_the_type_of_their_feature() -> None:
    back = CODEC.unpack(CODEC.pack(Row(1, (2, 0.1, 3, True, ""))))
    assert isinstance(back, Row)
    assert [type(value) for value in back.values] == [float, float, int, bool, str]
    assert back.values[1] == np.float32(0.1)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, "1", r"feature view all: feature f64: '1' \(str\) is no float64"),
        (0, True, "feature f64: True"),
        (0, np.float64(1), r"feature f64: np.float64\(1.0\) \(float64\) is no float64"),
        (1, 1e39, "feature f32: 1e.39"),
        (2, 2**63, "feature i64: 9223372036854775808"),
        (2, 1.0, "feature i64: 1.0"),
        (3, 1, "feature flag: 1"),
        (4, b"x", "feature text: b'x'"),
        (4, "\ud800", "feature text"),
        (4, np.str_("x"), "feature text"),
    ],
)
def test_a_value_that_does_not_fit_is_named(place: int, value: Any, message: str) -> None:
    values = (*GOOD.values[:place], value, *GOOD.values[place + 1 :])
    with pytest.raises(ValueError, match=message):
        CODEC.pack(Row(1, values))


def test_a_row_of_another_width_or_time_is_refused() -> None:
    with pytest.raises(ValueError, match="a row takes 5 values; got 1"):
        CODEC.pack(Row(1, (1.0,)))
    for event_time in (-1, MAX_EVENT_TIME + 1, 1.0, True):
        with pytest.raises(ValueError, match=r"event time .* takes microseconds"):
            CODEC.pack(Row(event_time, GOOD.values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "features",
    [
        VIEW.features[:-1],
        (*VIEW.features, Feature("more", "bool", REJECT)),
        (*VIEW.features[:-1], Feature("renamed", "string", REJECT)),
    ],
)
def test_a_row_of_another_schema_is_told_from_a_corrupt_one(features: tuple[Feature, ...]) -> None:
    other = replace(VIEW, features=features)
    values = (*GOOD.values, True)[: len(features)]
    assert CODEC.unpack(RowCodec(other).pack(Row(1, values))) is Unreadable.OTHER_SCHEMA


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\x90",
        b"\x91" * 5000,
        CODEC.pack(GOOD)[:-1],
        CODEC.pack(GOOD) + b"\0",
        msgspec.msgpack.encode([VIEW.schema, 1]),
        msgspec.msgpack.encode([VIEW.schema, -1, *GOOD.values]),
        msgspec.msgpack.encode([VIEW.schema, "1", *GOOD.values]),
        msgspec.msgpack.encode([VIEW.schema, 1, *GOOD.values[::-1]]),
        msgspec.msgpack.encode({"schema": VIEW.schema}),
        msgspec.msgpack.encode([5, 1, *GOOD.values]),
    ],
)
def test_bytes_that_are_no_row_are_corrupt(data: bytes) -> None:
    assert CODEC.unpack(data) is Unreadable.CORRUPT


@given(st.binary() | st.binary(min_size=1).map(lambda data: CODEC.pack(GOOD)[: -len(data)] + data))
def test_any_bytes_are_unpacked_without_raising(data: bytes) -> None:
    assert isinstance(CODEC.unpack(data), Row | Unreadable)
