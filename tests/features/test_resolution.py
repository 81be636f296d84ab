"""From rows to columns: defaults, refusals, and that a stale value never shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features import FeatureRefusedError, OnlineRow, Row, RowStatus, ViewReport, ViewRows, resolve
from app.features.view_rows import MISSING
from tests.features.views import BASE, NOW, SECOND, TAIL

FRESH_TAIL = OnlineRow(RowStatus.FRESH, Row(NOW - 90 * SECOND, (12.5, 3)))
STALE_TAIL = OnlineRow(RowStatus.STALE, Row(NOW - 9000 * SECOND, (-1.0, -1)))
FRESH_BASE = OnlineRow(RowStatus.FRESH, Row(NOW, (0.5, True, "ü")))
STALE_BASE = OnlineRow(RowStatus.STALE, Row(NOW - 61 * SECOND, (0.25, True, "old")))


def tail(*rows: OnlineRow) -> ViewRows:
    return ViewRows(TAIL, NOW, rows, corrupt=0, other_schema=0)


def base(*rows: OnlineRow) -> ViewRows:
    return ViewRows(BASE, NOW, rows, corrupt=0, other_schema=0)


def test_values_defaults_and_ages() -> None:
    found = resolve([tail(FRESH_TAIL, STALE_TAIL, MISSING)], ["tail_last", "tail_count", "tail_age"])
    assert {name: column.dtype.name for name, column in found.columns.items()} == {
        "tail_last": "float64",
        "tail_count": "int64",
        "tail_age": "float64",
    }
    assert found.columns["tail_last"].tolist() == [12.5, 0.0, 0.0]
    assert found.columns["tail_count"].tolist() == [3, 0, 0]
    np.testing.assert_array_equal(found.columns["tail_age"], [90.0, np.nan, np.nan])
    assert found.views == {"tail": ViewReport(fresh=1, stale=1, missing=1, defaulted=("tail_last", "tail_count"))}


def test_several_views_and_types() -> None:
    found = resolve([tail(FRESH_TAIL), base(FRESH_BASE)], ["base_mean", "base_hub", "base_note", "tail_last"])
    assert {name: (column.dtype.name, column.tolist()) for name, column in found.columns.items()} == {
        "tail_last": ("float64", [12.5]),
        "base_mean": ("float32", [0.5]),
        "base_hub": ("bool", [True]),
        "base_note": ("object", ["ü"]),
    }
    assert found.views["base"] == ViewReport(fresh=1, stale=0, missing=0, defaulted=())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (MISSING, "is missing"),
        (STALE_BASE, "is stale"),
        (OnlineRow(RowStatus.FRESH, Row(NOW, (None, True, ""))), "holds null there"),
    ],
)
def test_a_feature_without_default_is_refused(row: OnlineRow, reason: str) -> None:
    message = f"row 1 of the request: feature view base {reason}, and base_mean has no default"
    with pytest.raises(FeatureRefusedError, match=message):
        resolve([base(FRESH_BASE, row)], ["base_mean"])


def test_unused_feature_without_default_refuses_no_request() -> None:
    found = resolve([base(STALE_BASE)], ["base_note"])
    assert found.columns["base_note"].tolist() == ["none"]
    assert found.views["base"] == ViewReport(fresh=0, stale=1, missing=0, defaulted=("base_note",))


def test_null_in_a_fresh_row_takes_the_default_and_nan_stays() -> None:
    rows = [OnlineRow(RowStatus.FRESH, Row(NOW, values)) for values in ((None, None), (float("nan"), 1))]
    found = resolve([tail(*rows)], ["tail_last", "tail_count"])
    np.testing.assert_array_equal(found.columns["tail_last"], [0.0, np.nan])
    assert found.columns["tail_count"].tolist() == [0, 1]
    assert found.views["tail"].defaulted == ("tail_last", "tail_count")


def test_a_row_slightly_ahead_of_our_clock_has_age_zero() -> None:
    ahead = OnlineRow(RowStatus.FRESH, Row(NOW + 5, (1.0, 1)))
    assert resolve([tail(ahead)], ["tail_age"]).columns["tail_age"].tolist() == [0.0]


def test_request_without_rows_resolves_to_empty_columns() -> None:
    found = resolve([base()], ["base_mean", "base_note", "base_age"])
    assert [(column.shape, column.dtype.name) for column in found.columns.values()] == [
        ((0,), "float32"),
        ((0,), "object"),
        ((0,), "float64"),
    ]


def test_a_column_that_was_not_read_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no feature view that was read \(tail\) makes base_age, base_mean"):
        resolve([tail(FRESH_TAIL)], ["base_mean", "base_age", "tail_last"])


@given(st.lists(st.sampled_from([FRESH_TAIL, STALE_TAIL, MISSING]), max_size=8))
def test_each_row_is_resolved_by_itself(rows: list[OnlineRow]) -> None:
    found = resolve([tail(*rows)], ["tail_last"])
    assert found.columns["tail_last"].tolist() == [12.5 if row is FRESH_TAIL else 0.0 for row in rows]
    report = found.views["tail"]
    assert (report.fresh, report.stale, report.missing) == tuple(map(rows.count, (FRESH_TAIL, STALE_TAIL, MISSING)))
