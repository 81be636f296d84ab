"""Keys: the same for the same question, another for any other."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from app.gateway.prediction_cache import key_of
from app.gateway.prediction_cache.cache_key import KEY_BYTES

Inputs = Mapping[str, NDArray[Any]]

SHAPES = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
NUMBERS = st.sampled_from([np.bool_, np.uint8, np.int32, np.int64, np.float16, np.float32, np.float64]).flatmap(
    lambda dtype: npst.arrays(dtype, SHAPES)
)
TEXT = npst.arrays(np.dtype(object), SHAPES, elements=st.text(max_size=3) | st.binary(max_size=3))
ARRAYS = NUMBERS | TEXT
COLUMNS = st.dictionaries(st.text(max_size=3), ARRAYS, max_size=5)


def of(inputs: Inputs, *event_times: int | None, **parameters: bool | int | float | str) -> bytes:
    return key_of("flights", "7", "flights-v7-a", inputs, event_times, parameters)


def text(*values: str | bytes) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def content(array: NDArray[Any]) -> tuple[Any, ...]:
    """The difference between arrays: every bit, but for NaN, of which there is one."""
    if array.dtype.kind == "O":
        values: Any = tuple((type(value), value) for value in array.flat)
    else:
        values = tuple("NaN" if value != value else value.tobytes() for value in array.flat)
    return array.dtype.str, array.shape, values


@settings(max_examples=50)
@given(COLUMNS, st.randoms())
def test_the_order_of_the_inputs_does_not_matter(columns: dict[str, NDArray[Any]], random: Any) -> None:
    names = list(columns)
    random.shuffle(names)
    assert of({name: columns[name].copy() for name in names}) == of(columns)
    assert len(of(columns)) == KEY_BYTES


@settings(max_examples=50)
@given(COLUMNS, COLUMNS)
def test_keys_are_equal_exactly_when_the_inputs_are(one: Inputs, other: Inputs) -> None:
    same = {name: content(array) for name, array in one.items()} == {
        name: content(array) for name, array in other.items()
    }
    assert (of(one) == of(other)) == same


@settings(max_examples=50)
@given(COLUMNS.filter(bool), ARRAYS, st.data())
def test_one_changed_input_changes_the_key(
    columns: dict[str, NDArray[Any]], array: NDArray[Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(columns)))
    same = content(columns[name]) == content(array)
    assert (of(columns) == of(columns | {name: array})) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": text("1")}, {"a": text(b"1")}),
        ({"a": text("1")}, {"a": np.array([1])}),
        ({"a": np.array([1])}, {"a": np.array([1.0])}),
        ({"a": np.array([1], dtype=np.int64)}, {"a": np.array([1], dtype=np.int32)}),
        ({"a": np.array([1, 0], dtype=np.int32)}, {"a": np.array([1], dtype=np.int64)}),
        ({"a": np.array([True])}, {"a": np.array([1], dtype=np.uint8)}),
        ({"a": text("ab", "c")}, {"a": text("a", "bc")}),
        ({"a": text("a", "b"), "b": text("c")}, {"a": text("a"), "b": text("b", "c")}),
        ({"a": np.array([1, 2]), "b": np.array([3])}, {"a": np.array([1]), "b": np.array([2, 3])}),
        ({"a": np.array([1]), "b": np.array([2])}, {"a": np.array([2]), "b": np.array([1])}),
        ({"ab": np.array([1]), "c": np.array([2])}, {"a": np.array([1]), "bc": np.array([2])}),
        ({"a": np.ones((2, 3))}, {"a": np.ones((3, 2))}),
        ({"a": np.ones(1)}, {"a": np.ones((1, 1))}),
        ({"a": np.zeros(0)}, {}),
        ({"a": np.array([0.0])}, {"a": np.array([-0.0])}),
        ({"a": np.array([1.0], dtype=">f8")}, {"a": np.array([1.0], dtype="<f8").view(">f8")}),
    ],
)
def test_values_of_different_types_have_different_keys(one: Inputs, other: Inputs) -> None:
    assert of(one) != of(other)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("dtype", "bits"), [("<f2", "<H"), ("<f4", "<I"), ("<f8", "<Q")])
def test_all_nans_have_one_key(dtype: str, bits: str) -> None:
    quiet = np.array([np.inf, np.nan, -np.inf], dtype=dtype)
    payload = quiet.copy()
    size = payload.itemsize
    raw = bytearray(payload.tobytes())
    (plain,) = struct.unpack_from(bits, raw, size)
    struct.pack_into(bits, raw, size, plain | 1 | 1 << 8 * size - 1)  # a payload, and the other sign
    odd = np.frombuffer(bytes(raw), dtype)
    assert odd.tobytes() != quiet.tobytes()
    assert of({"a": odd}) == of({"a": quiet})
    assert of({"a": odd, "b": quiet}) == of({"a": quiet, "b": odd})
    assert of({"a": odd}) != of({"a": odd[[1, 0, 2]]})


def test_a_view_and_its_copy_have_one_key() -> None:
    table = np.arange(12.0).reshape(3, 4)
    assert of({"a": table[:, 1]}) == of({"a": table[:, 1].copy()})
    assert of({"a": np.asfortranarray(table)}) == of({"a": table})
    words = np.array([["a", "b"], ["c", "d"]], dtype=object)
    assert of({"a": words.T}) == of({"a": words.T.copy()}) != of({"a": words})


@pytest.mark.parametrize(
    "other",
    [
        lambda inputs: key_of("flight", "s7", "flights-v7-a", inputs),
        lambda inputs: key_of("flights", "8", "flights-v7-a", inputs),
        lambda inputs: key_of("flights", "7", "flights-v7-b", inputs),
        lambda inputs: of(inputs, 1),
        lambda inputs: of(inputs, 1, None),
        lambda inputs: of(inputs, None, 1),
        lambda inputs: of(inputs, 0),
        lambda inputs: of(inputs, None),
        lambda inputs: of(inputs, x=1),
        lambda inputs: of(inputs, x=1.0),
        lambda inputs: of(inputs, x="1"),
        lambda inputs: of(inputs, x=True),
        lambda inputs: of(inputs, y=1),
    ],
)
def test_version_application_times_and_parameters_change_the_key(other: Callable[[Inputs], bytes]) -> None:
    inputs = {"a": np.array([1.0])}
    keys = [of(inputs), of(inputs, 2, None), of(inputs, 2, 1), of(inputs, x=2)]
    assert other(inputs) not in keys
    assert len(set(keys)) == len(keys)


def test_the_order_of_the_parameters_does_not_matter() -> None:
    assert of({}, x=1, y=2) == of({}, y=2, x=1) != of({}, x=2, y=1)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([1 + 1j]), "inputs a are complex128; numbers, bools and text are accepted"),
        (np.array([None], dtype=object), r"inputs a holds None \(NoneType\); str and bytes are accepted"),
        (np.array(["2013-10-01"], dtype="M8[s]"), "inputs a are datetime64"),
    ],
)
def test_values_that_are_neither_number_nor_text_are_refused(array: NDArray[Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        of({"a": array})
