"""The features of a flight: rolling delays by what it flies with, and the weather, as known at scheduled departure.

Three streams of events feed the rolling views:

- ``arrivals``: a flight has landed. Known at its arrival. ``delay``: minutes after the schedule; ``elapsed``: minutes
  since it left.
- ``departures``: a flight has left. Known a minute after it left, but not before a minute after its schedule.
  ``delay`` as above; ``scheduled``: minutes its flight is scheduled to take.
- ``punctuality``: a quarter of an hour after the schedule it is seen how late the flight has become by then.
  ``wait``: 0 to 15 minutes; 15 if it has not left, cancelled ones included. Unlike departures, these events do not
  wait for the late flights.

Half of all flights leave early. Were their departures known at once, a flight's own departure would be among the
features by which its delay is predicted (test AUC 0.88 instead of 0.79): hence the minute after the schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.features import (
    Aggregation,
    CountWithin,
    DecayedMean,
    EventLog,
    FeatureRows,
    Last,
    MeanOfLast,
    RollingView,
    ShareAbove,
    batch_rows,
    latest_rows,
)
from app.features.aggregations import Floats, Instants
from app.recipes.flights.data import LATE_MINUTES

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
"""Taken over from the newest observation at the origin, each under the name ``weather_...``."""
WEATHER_AGE = "weather_age"
WEATHER_TTL = 3 * _HOUR

TRAFFIC = {"origin": ("origin",), "carrier": ("carrier",), "dest": ("dest",), "base": ("carrier", "origin")}
"""What many flights share; a base is a carrier's operation at an origin."""
HISTORY = {"route": ("carrier", "origin", "dest"), "slot": ("carrier", "origin", "dest", "hour")}
"""What repeats from day to day; a slot is a route at one hour of the day."""

_FLOW: dict[str, Aggregation] = {
    "mean20": MeanOfLast("delay", 20),
    "decayed1h": DecayedMean("delay", _HOUR),
    "decayed4h": DecayedMean("delay", 4 * _HOUR),
    "count2h": CountWithin(2 * _HOUR),
}
_WAIT: dict[str, Aggregation] = {
    "decayed30m": DecayedMean("wait", 30 * _MINUTE),
    "decayed1h": DecayedMean("wait", _HOUR),
}
_PAST_DAYS: dict[str, Aggregation] = {
    "mean10": MeanOfLast("delay", 10),
    "mean30": MeanOfLast("delay", 30),
    "late30": ShareAbove("delay", LATE_MINUTES, 30),
}
_INBOUND: dict[str, Aggregation] = {
    "last": Last("delay"),
    "mean5": MeanOfLast("delay", 5),
    "decayed4h": DecayedMean("delay", 4 * _HOUR),
    "elapsed": Last("elapsed"),
}
_OUTBOUND: dict[str, Aggregation] = {"last": Last("delay"), "scheduled": Last("scheduled")}

VIEWS = (
    RollingView("tail_arrivals", ("tailnum",), "arrivals", _INBOUND, ttl=3 * _DAY),
    RollingView("tail_departures", ("tailnum",), "departures", _OUTBOUND, ttl=3 * _DAY),
    *(RollingView(f"{name}_arrivals", key, "arrivals", _FLOW, ttl=_DAY) for name, key in TRAFFIC.items()),
    *(RollingView(f"{name}_departures", key, "departures", _FLOW, ttl=_DAY) for name, key in TRAFFIC.items()),
    *(RollingView(f"{name}_punctuality", key, "punctuality", _WAIT, ttl=_DAY) for name, key in TRAFFIC.items()),
    *(RollingView(f"{name}_arrivals", key, "arrivals", _PAST_DAYS, ttl=14 * _DAY) for name, key in HISTORY.items()),
)


@dataclass(frozen=True, slots=True)
class Stream:
    """Events that flights make.

    Attributes:
        flight: row of each event's flight.
        instant: when the event becomes known.
        values: what becomes known, by name.
    """

    flight: NDArray[np.int64]
    instant: Instants
    values: dict[str, Floats]


def streams(flights: pd.DataFrame) -> dict[str, Stream]:
    """The events of all flights by source, each in the order of the flights' rows."""
    scheduled = flights["scheduled_departure"]
    planned = (flights["scheduled_arrival"] - scheduled) / _MINUTE
    landed = np.flatnonzero(flights["arrival"].notna())
    left = np.flatnonzero(flights["departure"].notna())
    arrived, departed = flights.iloc[landed], flights.iloc[left]
    elapsed = (arrived["arrival"] - arrived["departure"]) / _MINUTE
    known = departed[["departure", "scheduled_departure"]].max(axis=1) + _MINUTE
    wait = flights["dep_delay"].fillna(np.inf).clip(0, LATE_MINUTES)
    return {
        "arrivals": Stream(
            landed,
            _instants(arrived["arrival"]),
            {"delay": _floats(arrived["arr_delay"]), "elapsed": _floats(elapsed)},
        ),
        "departures": Stream(
            left,
            _instants(known),
            {"delay": _floats(departed["dep_delay"]), "scheduled": _floats(planned.iloc[left])},
        ),
        "punctuality": Stream(
            np.arange(len(flights)), _instants(scheduled + LATE_MINUTES * _MINUTE), {"wait": _floats(wait)}
        ),
    }


def rolling_features(flights: pd.DataFrame) -> Iterator[tuple[str, Floats]]:
    """Every rolling column for every flight, as known at its scheduled departure; NaN where nothing was."""
    events = streams(flights)
    entities = {key: entity_codes(flights, key) for key in {view.entity for view in VIEWS}}
    asked = _instants(flights["scheduled_departure"])
    for view in VIEWS:
        stream, entity = events[view.source], entities[view.entity]
        of = entity[stream.flight]
        named = of >= 0
        values = {name: column[named] for name, column in stream.values.items()}
        rows = batch_rows(view, EventLog(of[named], stream.instant[named], values))
        matches = latest_rows(entity, asked, rows, view.ttl)
        yield from zip(view.columns, (*map(matches.take, rows.values.values()), matches.ages()), strict=True)


def weather_features(flights: pd.DataFrame, weather: pd.DataFrame) -> Iterator[tuple[str, Floats]]:
    """Every weather column for every flight: the newest observation at its origin known at scheduled departure."""
    rows = FeatureRows(weather["origin"].to_numpy(str), _instants(weather["known"]), {})
    asked = _instants(flights["scheduled_departure"])
    matches = latest_rows(flights["origin"].to_numpy(str), asked, rows, WEATHER_TTL)
    for name in WEATHER:
        yield f"weather_{name}", matches.take(_floats(weather[name]))
    yield WEATHER_AGE, matches.ages()


def entity_codes(flights: pd.DataFrame, columns: tuple[str, ...]) -> NDArray[np.int64]:
    """A number for each flight's entity; -1 where a column that names it is empty."""
    codes = np.zeros(len(flights), dtype=np.int64)
    empty = np.zeros(len(flights), dtype=np.bool_)
    for column in columns:
        code, names = pd.factorize(flights[column])
        codes = codes * len(names) + code
        empty |= (flights[column] == "").to_numpy()
    return np.where(empty, -1, codes)


def _instants(values: pd.Series[float]) -> Instants:
    return values.to_numpy().astype(np.int64)


def _floats(values: pd.Series[float]) -> Floats:
    return values.to_numpy().astype(np.float64)
