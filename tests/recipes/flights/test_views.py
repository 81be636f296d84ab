"""Nothing of the future enters a request: every feature is worked out again, slowly, from what was known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from app.features import State, update
from app.recipes.flights.columns import FEATURES, PLAIN, ROLLING_COLUMNS, WEATHER_COLUMNS, column_types
from app.recipes.flights.table import Table
from app.recipes.flights.views import VIEWS, WEATHER, WEATHER_TTL, entity_codes, streams

SAMPLE = 25
FORGOTTEN_AFTER = 12 * 86_400
"""Seconds after which an event that is not among the newest forty weighs less than 2^-70 in every feature."""


@pytest.fixture(scope="module")
def requests(flights: pd.DataFrame) -> NDArray[np.int64]:
    """Rows of ``flights`` that are checked, all with an outcome."""
    arrived = np.flatnonzero(flights["arrival"].notna())
    return np.random.default_rng(0).choice(arrived, SAMPLE, replace=False)


def test_features_are_those_that_were_known(flights: pd.DataFrame, table: Table, requests: NDArray[np.int64]) -> None:
    arrived = np.flatnonzero(flights["arrival"].notna())
    events = streams(flights)
    scheduled = flights["scheduled_departure"].to_numpy()
    columns = {name: flights[name].to_numpy() for view in VIEWS for name in view.entity}
    for flight in requests:
        instant = int(scheduled[flight])
        row = int(np.searchsorted(arrived, flight))
        for view in VIEWS:
            stream = events[view.source]
            known = np.flatnonzero(stream.instant <= instant)
            for column in view.entity:
                known = known[columns[column][stream.flight[known]] == columns[column][flight]]
            known = known[np.argsort(stream.instant[known], kind="stable")]
            recent = int((stream.instant[known] > instant - FORGOTTEN_AFTER).sum())
            known = known[-max(recent, 40) :]
            assert flight not in stream.flight[known]
            state: State | None = None
            expected = dict.fromkeys(view.features, math.nan)
            for event in known:
                values_of = {name: float(column[event]) for name, column in stream.values.items()}
                state, expected = update(view, state, int(stream.instant[event]), values_of)
            age = math.nan if state is None else float(instant - state.instant)
            if not age <= view.ttl:
                expected, age = dict.fromkeys(view.features, math.nan), math.nan
            found = {name: table[f"{view.name}_{name}"][row] for name in view.features}
            np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-12, atol=1e-12)
            np.testing.assert_equal(table[view.age][row], age)


def test_weather_is_the_newest_that_was_known(
    flights: pd.DataFrame, weather: pd.DataFrame, table: Table, requests: NDArray[np.int64]
) -> None:
    arrived = np.flatnonzero(flights["arrival"].notna())
    for flight in requests:
        request = flights.iloc[flight]
        instant = request["scheduled_departure"]
        past = weather[(weather["origin"] == request["origin"]) & (weather["known"] <= instant)].tail(1)
        if len(past) and instant - past["known"].item() > WEATHER_TTL:
            past = past.head(0)
        row = int(np.searchsorted(arrived, flight))
        expected = [past[name].item() if len(past) else math.nan for name in WEATHER]
        np.testing.assert_equal([table[f"weather_{name}"][row] for name in WEATHER], expected)


def test_own_events_come_after_the_request(flights: pd.DataFrame) -> None:
    scheduled = flights["scheduled_departure"].to_numpy()
    left_early = (flights["dep_delay"] < 0).sum()
    assert left_early > 100_000  # without the minute after the schedule these would know their own departure
    for stream in streams(flights).values():
        assert (stream.instant > scheduled[stream.flight]).all()


def test_departures_are_not_known_before_they_happen(flights: pd.DataFrame) -> None:
    events = streams(flights)
    for source, instant in (("departures", "departure"), ("arrivals", "arrival")):
        stream = events[source]
        assert (stream.instant >= flights[instant].to_numpy()[stream.flight]).all()
    wait = events["punctuality"]
    gone = (flights["departure"] <= flights["scheduled_departure"] + 15 * 60).to_numpy()
    assert ((wait.values["wait"] < 15) | (flights["dep_delay"] == 15).to_numpy() == gone)[wait.flight].all()


def test_flights_of_no_known_aircraft_share_no_history(flights: pd.DataFrame) -> None:
    codes = entity_codes(flights, ("tailnum",))
    np.testing.assert_array_equal(codes == -1, flights["tailnum"] == "")


def test_static_has_no_feature() -> None:
    assert FEATURES["static"] == ()
    assert tuple(column_types("static")) == tuple(PLAIN)
    assert FEATURES["online"] == (*WEATHER_COLUMNS, *ROLLING_COLUMNS)
    assert len(set(FEATURES["online"])) == len(FEATURES["online"])
