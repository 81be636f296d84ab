"""Outputs as bytes and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.gateway.prediction_cache.codec import NotCacheableError, decode, encode, frozen
from tests.gateway.prediction_cache.test_cache_key import COLUMNS, content


@settings(max_examples=50)
@given(COLUMNS, st.integers(0, 2**53))
def test_outputs_come_back_read_only(outputs: dict[str, NDArray[Any]], at: int) -> None:
    computed_at, found = decode(encode(outputs, at))
    assert computed_at == at
    assert list(found) == list(outputs)
    for name, array in found.items():
        assert content(array) == content(outputs[name])
        assert not array.flags.writeable


def test_numbers_cannot_be_made_writeable() -> None:
    _, found = decode(encode({"a": np.ones(3)}, 0))
    with pytest.raises(ValueError, match="WRITEABLE"):
        found["a"].flags.writeable = True


@pytest.mark.parametrize("array", [np.array([1j]), np.array([1, "a"], dtype=object)])
def test_values_that_are_neither_number_nor_text_are_refused(array: NDArray[Any]) -> None:
    with pytest.raises(NotCacheableError, match="output a"):
        encode({"a": array}, 0)


@given(st.binary(max_size=40))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="are no prediction"):
        decode(data)


def test_a_cut_or_mislabelled_entry_is_refused() -> None:
    data = encode({"a": np.ones(3), "b": np.array(["x"], dtype=object)}, 0)
    for broken in (data[:-1], data.replace(b"<f8", b"<f2"), data.replace(b"<f8", b"|O8"), data.replace(b"|O", b"|V")):
        with pytest.raises(ValueError, match="are no prediction"):
            decode(broken)


def test_a_frozen_view_leaves_the_original_as_it_is() -> None:
    array = np.ones(3)
    view = frozen({"a": array})["a"]
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 2
    assert array.flags.writeable
