"""The join finds the newest row known at the instant, never a later one, never an outlived one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features import FeatureRows, latest_rows

KEYS = st.integers(0, 4)
INSTANTS = st.integers(-20, 40)


def as_rows(rows: list[tuple[int, int]]) -> FeatureRows:
    rows = sorted(rows)
    entity = np.array([key for key, _ in rows], dtype=np.int64)
    time = np.array([instant for _, instant in rows], dtype=np.int64)
    return FeatureRows(entity, time, {"number": np.arange(len(rows), dtype=np.float64)})


@given(st.lists(st.tuples(KEYS, INSTANTS), max_size=40), st.lists(st.tuples(KEYS, INSTANTS)), st.integers(0, 30))
def test_same_as_looking_at_every_row(known: list[tuple[int, int]], asked: list[tuple[int, int]], ttl: int) -> None:
    rows = as_rows(known)
    entity = np.array([key for key, _ in asked], dtype=np.int64)
    instant = np.array([at for _, at in asked], dtype=np.int64)
    matches = latest_rows(entity, instant, rows, ttl)
    for place, (key, at) in enumerate(asked):
        past = [row for row in range(len(known)) if rows.entity[row] == key and rows.event_time[row] <= at]
        newest = past[-1] if past and at - rows.event_time[past[-1]] <= ttl else -1
        assert matches.row[place] == newest
        assert matches.age[place] == (at - rows.event_time[newest] if newest >= 0 else -1)


def test_same_as_pandas() -> None:
    random = np.random.default_rng(0)
    rows = as_rows(sorted({(int(random.integers(50)), int(random.integers(100_000))) for _ in range(5000)}))
    entity, instant = random.integers(0, 60, 4000), np.sort(random.integers(-1000, 110_000, 4000))
    matches = latest_rows(entity, instant, rows, ttl=5000)
    left = pd.DataFrame({"entity": entity, "at": instant})
    right = pd.DataFrame({"entity": rows.entity, "at": rows.event_time, "number": rows.values["number"]})
    merged = pd.merge_asof(left, right.sort_values("at", kind="stable"), on="at", by="entity", tolerance=5000)
    np.testing.assert_array_equal(matches.take(rows.values["number"]), merged["number"].to_numpy())


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (99, np.nan),  # a second before it is known
        (100, 0.0),  # known exactly now: of two rows of that time the last holds
        (110, 0.0),
        (120, 0.0),  # as old as it may be
        (121, np.nan),  # outlived
    ],
)
def test_bounds(at: int, expected: float) -> None:
    rows = FeatureRows(np.array([7, 7]), np.array([100, 100]), {"x": np.array([-1.0, 0.0])})
    matches = latest_rows(np.array([7]), np.array([at]), rows, ttl=20)
    np.testing.assert_array_equal(matches.take(rows.values["x"]), [expected])
    np.testing.assert_array_equal(matches.ages(), [at - 100 if expected == 0 else np.nan])


def test_an_outlived_row_is_not_replaced_by_an_older_one_nor_by_another_entity() -> None:
    rows = FeatureRows(np.array([1, 2]), np.array([0, 90]), {})
    assert latest_rows(np.array([1, 3, 0]), np.array([100, 100, 100]), rows, ttl=50).row.tolist() == [-1, -1, -1]


def test_no_rows_and_no_requests() -> None:
    empty = as_rows([])
    assert latest_rows(np.array([1]), np.array([5]), empty, ttl=9).row.tolist() == [-1]
    assert np.isnan(latest_rows(np.array([1]), np.array([5]), empty, ttl=9).take(np.empty(0))).all()
    nobody = np.empty(0, dtype=np.int64)
    assert latest_rows(nobody, nobody, as_rows([(1, 1)]), ttl=9).row.tolist() == []
