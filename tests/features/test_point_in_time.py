"""The join finds the newest row known at the instant, never a later one, never an outlived one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features import Last, MeanOfLast, RollingView, training_set
from app.features.point_in_time import joined_block, point_in_time_join
from app.settings import Settings

VIEW = RollingView("view", ("key",), "events", {"x": Last("x"), "mean": MeanOfLast("x", 2)}, ttl=20)
PAIR = RollingView("pair", ("key", "side"), "events", {"x": Last("x")}, ttl=10**6)


def requests(*asked: tuple[object, int], side: str = "l") -> pd.DataFrame:
    keys = pd.Series([key for key, _ in asked], dtype="str")
    instants = np.array([at for _, at in asked], dtype=np.int64)
    return pd.DataFrame({"key": keys, "side": side, "instant": instants})


def known(*events: tuple[object, int, float], side: str = "l") -> dict[str, pd.DataFrame]:
    values = np.array([value for *_, value in events], dtype=np.float64)
    return {"events": requests(*((key, at) for key, at, _ in events), side=side).assign(x=values)}


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-20, 40), st.floats(-9, 9)), max_size=30),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-20, 60)), max_size=20),
)
def test_join_equals_a_scan_of_all_events(events: list[tuple[str, int, float]], asked: list[tuple[str, int]]) -> None:
    found = training_set(requests(*asked), [VIEW], known(*events))
    for place, (key, at) in enumerate(asked):
        past = sorted((event for event in events if event[0] == key and event[1] <= at), key=lambda event: event[1])
        if past and at - past[-1][1] > VIEW.ttl:
            past = []
        values = [value for *_, value in past[-2:]]
        mean = sum(values) / len(values) if values else np.nan
        expected = (past[-1][2], mean, at - past[-1][1]) if past else (np.nan,) * 3
        np.testing.assert_array_equal(found.iloc[place], expected)


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
def test_event_at_the_requests_instant_counts_and_at_the_ttl_too(at: int, expected: float) -> None:
    found = training_set(requests(("a", at)), [VIEW], known(("a", 100, -1.0), ("a", 100, 0.0)))
    np.testing.assert_array_equal(found["view_x"], [expected])
    np.testing.assert_array_equal(found["view_age"], [at - 100 if expected == 0 else np.nan])


def test_an_outlived_row_is_not_replaced_by_an_older_one_nor_by_another_entity() -> None:
    events = known(("a", 0, 1.0), ("a", 70, 3.0), ("b", 90, 2.0))
    found = training_set(requests(("a", 100), ("c", 100), ("", 100)), [VIEW], events)
    assert found.isna().to_numpy().all()


def test_rows_without_entity_share_no_history_and_all_columns_name_one() -> None:
    events = known(("", 0, 1.0), ("a", 0, 2.0))
    found = training_set(requests(("", 5), ("a", 5)), [VIEW, PAIR], events)
    np.testing.assert_array_equal(found["view_x"], [np.nan, 2.0])
    assert training_set(requests(("a", 5), side="r"), [PAIR], events)["pair_x"].isna().all()


def test_no_events_and_no_requests() -> None:
    assert training_set(requests(("a", 5)), [VIEW], known()).isna().to_numpy().all()
    assert training_set(requests(), [VIEW], known(("a", 1, 1.0))).shape == (0, 3)


def test_missing_column_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no events of events; there are others"):
        training_set(requests(("a", 5)), [VIEW], {"others": pd.DataFrame()})
    with pytest.raises(ValueError, match="a table lacks the entity column key; it has instant"):
        training_set(requests(("a", 5))[["instant"]], [VIEW], known(("a", 1, 1.0)))


def test_a_block_sees_the_rows_that_its_requests_may_see() -> None:
    """The rows are cut to the block's stretch of time before the join; the bounds are inside."""
    rows = pd.DataFrame({"_entity": np.zeros(50, dtype=np.int64), "_event_time": np.arange(50), "x": np.arange(50.0)})
    asked = pd.DataFrame({"_entity": np.zeros(2, dtype=np.int64), "instant": np.array([20, 30])})
    assert point_in_time_join(asked, rows, ttl=5)["x"].tolist() == [20.0, 30.0]
    assert point_in_time_join(asked, rows[rows["_event_time"] == 15], ttl=5)["x"].tolist()[:1] == [15.0]


def test_on_ray_the_result_is_the_same(driver: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    keys, times = random.integers(0, 9, 400).astype(str), random.integers(0, 500, 400)
    asked = requests(*zip(keys, times.tolist(), strict=True))
    events = known(*zip(keys[::-1], times.tolist(), random.normal(size=400).tolist(), strict=True))
    monkeypatch.setattr("app.features.point_in_time.BLOCK_ROWS", 150)
    spread = training_set(asked, [VIEW, PAIR], events)
    monkeypatch.setattr("app.features.point_in_time._on_ray", joined_block)
    pd.testing.assert_frame_equal(spread, training_set(asked, [VIEW, PAIR], events), check_exact=True)
    assert 0.2 < spread["view_x"].notna().mean() < 1
