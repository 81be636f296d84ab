"""Rows by event: the batch and the updater agree, a row depends on its entity's past alone, ties and order."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features import (
    CountWithin,
    DecayedMean,
    EntityState,
    EventTable,
    Last,
    MeanOfLast,
    RollingView,
    ShareAbove,
    batch_rows,
    update,
)

VIEW = RollingView(
    name="view",
    entity=("key",),
    source="events",
    features={
        "last": Last("delay"),
        "mean3": MeanOfLast("delay", 3),
        "late4": ShareAbove("delay", 15, 4),
        "decayed": DecayedMean("delay", 600),
        "count": CountWithin(900),
        "other": Last("other"),
    },
    ttl=3600,
)

Event = tuple[str, int, float, float]

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 50).map(lambda step: 1_357_000_000 + step * 150),  # few instants: many ties
        st.floats(-100, 1500, allow_nan=False),
        st.floats(-1e6, 1e6, allow_nan=False),
    ),
    max_size=60,
)


def as_log(events: list[Event]) -> EventTable:
    return EventTable(
        entity=np.array([entity for entity, *_ in events], dtype="U1"),
        instant=np.array([instant for _, instant, *_ in events], dtype=np.int64),
        values={
            "delay": np.array([delay for *_, delay, _ in events], dtype=np.float64),
            "other": np.array([other for *_, other in events], dtype=np.float64),
        },
    )


def streamed(events: list[Event]) -> dict[str, list[tuple[int, dict[str, float]]]]:
    """Rows by entity from the updater, fed in the order of the instants as a stream would."""
    states: dict[str, EntityState] = {}
    rows = defaultdict(list)
    for entity, instant, delay, other in sorted(events, key=lambda event: event[1]):
        values = {"delay": delay, "other": other}
        states[entity], row = update(VIEW, states.get(entity), instant, values)
        rows[entity].append((instant, row))
    return rows


@given(EVENTS)
def test_batch_and_updates_give_the_same_rows(events: list[Event]) -> None:
    batch = batch_rows(VIEW, as_log(events))
    expected = [(entity, *row) for entity, rows in sorted(streamed(events).items()) for row in rows]
    assert batch.entity.tolist() == [entity for entity, *_ in expected]
    assert batch.event_time.tolist() == [instant for _, instant, _ in expected]
    for name in VIEW.features:
        values = [row[name] for *_, row in expected]
        if name == "decayed":  # up to the rounding of 2^x
            np.testing.assert_allclose(batch.values[name], values, rtol=1e-12, atol=1e-9 * 1e-3)
        else:
            assert batch.values[name].tolist() == values


@given(EVENTS, st.integers(0, 60))
def test_a_row_depends_on_nothing_later_and_on_no_other_entity(events: list[Event], cut: int) -> None:
    events = sorted(events, key=lambda event: event[1])
    past = [event for event in events[:cut] if event[0] == "a"]
    whole, part = batch_rows(VIEW, as_log(events)), batch_rows(VIEW, as_log(past))
    for name in VIEW.features:
        same = whole.values[name][whole.entity == "a"][: len(past)]
        np.testing.assert_array_equal(part.values[name], same)


def test_values_equal_those_worked_out_by_hand() -> None:
    log = as_log([("a", 0, 10.0, 0.0), ("b", 60, 99.0, 0.0), ("a", 600, 40.0, 0.0), ("a", 1200, -8.0, 0.0)])
    rows = batch_rows(VIEW, log)
    assert rows.entity.tolist() == ["a", "a", "a", "b"]
    assert rows.event_time.tolist() == [0, 600, 1200, 60]
    assert rows.values["last"].tolist() == [10, 40, -8, 99]
    assert rows.values["mean3"].tolist() == [10, 25, 14, 99]
    assert rows.values["late4"].tolist() == [0, 1 / 2, 1 / 3, 1]
    assert rows.values["count"].tolist() == [1, 2, 2, 1]
    decayed = [10, (40 + 10 / 2) / (1 + 1 / 2), (-8 + 40 / 2 + 10 / 4) / (1 + 1 / 2 + 1 / 4), 99]
    np.testing.assert_allclose(rows.values["decayed"], decayed, rtol=1e-15)


def test_events_that_are_exactly_as_old_as_the_window_are_out_of_it() -> None:
    log = as_log([("a", 0, 0.0, 0.0), ("a", 899, 0.0, 0.0), ("a", 900, 0.0, 0.0)])
    assert batch_rows(VIEW, log).values["count"].tolist() == [1, 2, 2]


def test_an_older_event_is_refused() -> None:
    state, _ = update(VIEW, None, 100, {"delay": 1.0, "other": 0.0})
    with pytest.raises(ValueError, match="the event at 99 is older than the entity's newest, at 100"):
        update(VIEW, state, 99, {"delay": 1.0, "other": 0.0})


def test_names_of_columns() -> None:
    assert VIEW.columns == (
        "view_last",
        "view_mean3",
        "view_late4",
        "view_decayed",
        "view_count",
        "view_other",
        "view_age",
    )
