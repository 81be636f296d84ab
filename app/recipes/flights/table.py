"""One row for each flight: the request that could have been made at its scheduled departure, and what happened."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.recipes.flights.columns import ColumnType, Features, column_types
from app.recipes.flights.data import LATE_MINUTES, NEW_YORK, clock, read_flights, read_weather
from app.recipes.flights.views import rolling_features, weather_features

Table = dict[str, NDArray[Any]]
"""Named columns of equal length."""

_DTYPE: dict[ColumnType, type] = {"string": np.object_, "long": np.int64, "double": np.float64}


def flight_table(features: Features) -> Table:
    """Every flight with a known outcome, by scheduled departure.

    Columns: those of a request, then ``late`` (0 or 1), ``scheduled_departure``, ``outcome_known`` (seconds since
    1970-01-01 UTC) and ``month`` (of the scheduled departure, in New York).
    """
    flights = read_flights()
    flights["weekday"] = clock(flights["scheduled_departure"], NEW_YORK).dt.day_of_week
    flights["scheduled_minutes"] = (flights["scheduled_arrival"] - flights["scheduled_departure"]) / 60
    looked_up: Table = {}
    if features == "online":
        looked_up = dict(weather_features(flights, read_weather())) | dict(rolling_features(flights))
    arrived = flights["arrival"].notna().to_numpy()
    table: Table = {
        name: (looked_up[name] if name in looked_up else flights[name].to_numpy())[arrived].astype(
            _DTYPE[kind], copy=False
        )
        for name, kind in column_types(features).items()
    }
    flights = flights[arrived]
    return table | {
        "late": (flights["arr_delay"] > LATE_MINUTES).to_numpy(np.int64),
        "scheduled_departure": flights["scheduled_departure"].to_numpy(),
        "outcome_known": flights["arrival"].to_numpy(np.int64),
        "month": flights["month"].to_numpy(),
    }


def select(table: Table, rows: NDArray[Any]) -> Table:
    """Some rows of a table, by mask or index."""
    return {name: column[rows] for name, column in table.items()}
