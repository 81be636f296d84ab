"""The record: its bytes, and what it keeps of outputs."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from app.events import EventIds, Output, ViewTimes, hash_sticky_key, summarise
from app.events.output import describe
from app.events.prediction import decode
from tests.events.support import prediction


def texts(*values: str | bytes) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def test_a_record_comes_back_as_it_was() -> None:
    views = {"arrivals": ViewTimes(2, 1, 0, 1_000, 2_000), "weather": ViewTimes(0, 0, 3)}
    outputs = {"x": Output((2,), [1.5, float("inf")]), "t": Output((1,), ["é"]), "b": Output((1,), [b"\xff"])}
    record = prediction(
        features=views, outputs=outputs, version=None, placement=None, cached=True, mirrored=True, pinned=True
    )
    assert decode(record.encode()) == record


def test_a_later_release_may_add_fields_and_an_older_one_reads_on() -> None:
    fields = msgspec.msgpack.decode(prediction().encode())
    assert decode(msgspec.msgpack.encode([*fields, "new"])) == decode(msgspec.msgpack.encode(fields))
    shorter = decode(msgspec.msgpack.encode(fields[:-4]))
    assert shorter is not None
    assert (shorter.features, shorter.failed, shorter.mirrored, shorter.pinned) == ({}, [], False, False)


@pytest.mark.parametrize("data", [b"", b"\xff", msgspec.msgpack.encode({"a": 1}), msgspec.msgpack.encode([1, 2])])
def test_other_bytes_are_no_record(data: bytes) -> None:
    assert decode(data) is None


@pytest.mark.parametrize(
    ("array", "kept"),
    [
        (np.array([0.25, 0.5]), Output((2,), [0.25, 0.5])),
        (np.array([[1, 2]], dtype=np.int32), Output((1, 2), [1, 2])),
        (np.array([True]), Output((1,), [True])),
        (np.float32(3).reshape(()), Output((), [3.0])),
        (texts("late", "é"), Output((2,), ["late", "é"])),
        (texts(b"\xff"), Output((1,), [b"\xff"])),
        (np.zeros(9), Output((9,), None)),
        (texts("x" * 65), Output((1,), None)),
        (texts(*[""] * 65), Output((65,), None)),
        (np.array([1 + 2j]), Output((1,), None)),
    ],
)
def test_small_outputs_are_kept_whole_and_large_ones_by_shape(array: NDArray[Any], kept: Output) -> None:
    assert summarise({"y": array}, 64) == {"y": kept}


def test_outputs_share_the_bound() -> None:
    kept = summarise({"a": np.zeros(4), "b": np.zeros(5), "c": np.zeros(4)}, 64)
    assert [output.values is None for output in kept.values()] == [False, True, False]


def test_a_record_holds_no_array() -> None:
    scores = np.array([0.25])
    kept = summarise({"late": scores})
    scores[0] = 7
    assert kept["late"].values == [0.25]


def test_outputs_are_described_in_one_line() -> None:
    outputs = {"late": Output((1,), [0.123456]), "top": Output((2,), ["a", "b"]), "image": Output((3, 64, 64), None)}
    assert describe(outputs) == "late=0.1235  top=[a, b]  image=[3×64×64]"


def test_ids_differ_between_sources_and_within_one() -> None:
    first, second = EventIds(), EventIds()
    assert len({source() for source in (first, second) for _ in range(1000)}) == 2000


def test_a_sticky_key_is_not_in_its_hash() -> None:
    assert hash_sticky_key("N14228") == hash_sticky_key("N14228") != hash_sticky_key("N14229")
    assert len(hash_sticky_key("é" * 1000)) == 16
