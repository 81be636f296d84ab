"""Feast's messages, byte for byte: what each type takes, what is another type's, and what is nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import BoolValue, DoubleValue, FloatValue, Int64Value, StringValue
from hypothesis import given
from hypothesis import strategies as st

from app.features import REJECT, Dtype, Feature, FeatureView, Row, Value
from app.features.feast.wire import RowDecoder
from app.features.feature_row import Unreadable

AT = Timestamp(seconds=1).SerializeToString()
TAGS: dict[Dtype, int] = {"float64": 0x29, "float32": 0x35, "int64": 0x20, "bool": 0x38, "string": 0x12}
DTYPES = list(TAGS)


def decoder(dtype: Dtype) -> RowDecoder:
    return RowDecoder(FeatureView("view", ("entity",), (Feature("value", dtype, REJECT),), 60, "at", "feast"))


def read(dtype: Dtype, data: bytes | None) -> Value | Unreadable | None:
    row = decoder(dtype).row([data, AT])
    assert row is not None
    return row if isinstance(row, Unreadable) else row.values[0]


WRAPPED: dict[Dtype, Callable[[Value], bytes]] = {
    "float64": lambda value: DoubleValue(value=float(value)).SerializeToString(),
    "float32": lambda value: FloatValue(value=float(value)).SerializeToString(),
    "int64": lambda value: Int64Value(value=int(value)).SerializeToString(),
    "bool": lambda value: BoolValue(value=bool(value)).SerializeToString(),
    "string": lambda value: StringValue(value=str(value)).SerializeToString(),
}
VALUES: dict[Dtype, st.SearchStrategy[Value]] = {
    "float64": st.floats(allow_nan=False).filter(lambda value: value != 0),
    "float32": st.floats(width=32, allow_nan=False).filter(lambda value: value != 0),
    "int64": st.integers(-(2**63), 2**63 - 1).filter(bool),
    "bool": st.just(True),
    "string": st.text("a\0é🛬", min_size=1),
}
"""Without zeros, which protobuf leaves out where they are not of a ``oneof``."""


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_reads_what_the_protobuf_library_writes(dtype: Dtype, data: st.DataObject) -> None:
    value = data.draw(VALUES[dtype])
    assert read(dtype, bytes([TAGS[dtype]]) + WRAPPED[dtype](value)[1:]) == value


@pytest.mark.parametrize("dtype", DTYPES)
@given(st.binary(max_size=24))
def test_any_bytes_are_decoded_without_raising(dtype: Dtype, data: bytes) -> None:
    read(dtype, data)
    decoder(dtype).row([b"", data])


@given(st.integers(0, 9_007_199_254), st.integers(0, 999_999_999))
def test_event_times_are_cut_to_the_microsecond(seconds: int, nanos: int) -> None:
    time = Timestamp(seconds=seconds, nanos=nanos).SerializeToString()
    assert decoder("bool").row([b"", time]) == Row(seconds * 1_000_000 + nanos // 1_000, (None,))


@pytest.mark.parametrize(
    "time",
    [
        Timestamp(seconds=-1).SerializeToString(),
        Timestamp(seconds=2**54 // 1_000_000).SerializeToString(),
        b"\x10\x80\x94\xeb\xdc\x03",  # a thousand million nanoseconds
        b"\x08",
        b"\x08\x01\x08",
        b"\x29" + bytes(8),
    ],
    ids=bytes.hex,
)
def test_unreadable_event_time_makes_the_row_corrupt(time: bytes) -> None:
    assert decoder("bool").row([b"", time]) is Unreadable.CORRUPT


def test_without_an_event_time_there_is_no_row() -> None:
    assert decoder("bool").row([b"\x38\x01", None]) is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("null", [b"", b"\x98\x01\x00"], ids=["empty", "null_val"])
def test_null_value_is_read_as_missing(dtype: Dtype, null: bytes) -> None:
    assert read(dtype, null) is None


@pytest.mark.parametrize(
    ("dtype", "data", "value"),
    [
        ("float64", b"\x29" + bytes(8), 0.0),
        ("float64", b"\x35\x00\x00\x60\x40", 3.5),  # a float fits a double
        ("int64", b"\x18\xfd" + b"\xff" * 8 + b"\x01", -3),  # an int32 is extended to 64 bits
        ("int64", b"\x40\x80\xa3\x05", 86_400),  # seconds since the epoch
        ("int64", b"\x40" + b"\x80" * 9 + b"\x01", None),  # NaT
        ("int64", b"\x20" + b"\x80" * 9 + b"\x01", -(2**63)),
        ("bool", b"\x38\x00", False),
        ("string", b"\x12\x00", ""),
    ],
)
def test_extreme_values_are_read(dtype: Dtype, data: bytes, value: Value | None) -> None:
    found = read(dtype, data)
    assert found == value
    assert type(found) is type(value)


def test_nan_is_read_as_a_value() -> None:
    found = read("float64", b"\x29\x00\x00\x00\x00\x00\x00\xf8\x7f")
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    ("dtype", "data"),
    [
        ("float32", b"\x29" + bytes(8)),  # a double does not fit a float
        ("float64", b"\x20\x01"),
        ("int64", b"\x38\x01"),
        ("bool", b"\x20\x01"),
        ("string", b"\x0a\x01a"),  # bytes
        ("float64", b"\x7a\x02\x0a\x00"),  # a list of doubles
        ("string", b"\x82\x02\x01a"),  # a field number of two bytes: JSON
        ("string", None),
    ],
)
def test_a_value_of_another_type_or_none_is_of_another_schema(dtype: Dtype, data: bytes | None) -> None:
    assert read(dtype, data) is Unreadable.OTHER_SCHEMA


@pytest.mark.parametrize(
    ("dtype", "data"),
    [
        ("float64", b"\x29" + bytes(7)),
        ("float64", b"\x29" + bytes(9)),
        ("int64", b"\x20"),
        ("int64", b"\x20\x80"),
        ("int64", b"\x20\x01\x01"),
        ("int64", b"\x20" + b"\xff" * 9 + b"\x02"),  # more than 64 bits
        ("bool", b"\x38\x02"),
        ("string", b"\x12\x02a"),
        ("string", b"\x12\x01ab"),
        ("string", b"\x12\x01\xff"),
        ("bool", b"\x07"),  # no field is number 0
        ("bool", b"\x0f"),  # no wire type is 7
    ],
)
def test_bytes_that_are_no_value_are_corrupt(dtype: Dtype, data: bytes) -> None:
    assert read(dtype, data) is Unreadable.CORRUPT
