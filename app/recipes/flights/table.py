"""One row for each flight: the request that could have been made at its scheduled departure, and what happened."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.features import training_set
from app.features.rolling import INSTANT
from app.recipes.flights.columns import ColumnType, Features, column_types
from app.recipes.flights.data import LATE_MINUTES, NEW_YORK, clock, read_flights, read_weather
from app.recipes.flights.views import ENTITIES, VIEWS, events

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
    known = events(flights, read_weather()) if features == "online" else {}
    flights = flights[flights["arrival"].notna()]
    columns = {name: flights[name] for name in flights}
    if features == "online":
        asked = flights[list(ENTITIES)].assign(**{INSTANT: flights["scheduled_departure"]})
        looked_up = training_set(asked, VIEWS, known)
        columns |= {name: looked_up[name] for name in looked_up}
    table: Table = {
        name: columns[name].to_numpy().astype(_DTYPE[kind], copy=False)
        for name, kind in column_types(features).items()
    }
    return table | {
        "late": (flights["arr_delay"] > LATE_MINUTES).to_numpy(np.int64),
        "scheduled_departure": flights["scheduled_departure"].to_numpy(),
        "outcome_known": flights["arrival"].to_numpy(np.int64),
        "month": flights["month"].to_numpy(),
    }


def select(table: Table, rows: NDArray[Any]) -> Table:
    """Some rows of a table, by mask or index."""
    return {name: column[rows] for name, column in table.items()}
