"""Instants, against flights worked out by hand and against the clock readings of the source."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from app.recipes.flights.data import MISSING_ZONES, NEW_YORK, clock, read_table


def utc(text: str) -> int:
    return int(datetime.fromisoformat(f"2013-{text}").replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("flight", "scheduled_departure", "departure", "scheduled_arrival", "arrival"),
    [
        # Houston, an hour behind New York: 517-830 for 515-819
        ("1-1 UA1545 EWR-IAH", "01-01 10:15", "01-01 10:17", "01-01 14:19", "01-01 14:30"),
        # Aguadilla, which the airports table lacks, an hour ahead in winter: 544-1004 for 545-1022
        ("1-1 B6725 JFK-BQN", "01-01 10:45", "01-01 10:44", "01-01 14:22", "01-01 14:04"),
        # San Juan, level with New York in summer, off at midnight: 032-420 for 2359-344
        ("8-1 B61503 JFK-SJU", "08-02 03:59", "08-02 04:32", "08-02 07:44", "08-02 08:20"),
        # Saint Thomas in summer: 753-1157 for 800-1200
        ("7-3 AA655 JFK-STT", "07-03 12:00", "07-03 11:53", "07-03 16:00", "07-03 15:57"),
        # Honolulu, five hours behind, lands on the next UTC day: 857-1516 for 900-1530
        ("1-1 HA51 JFK-HNL", "01-01 14:00", "01-01 13:57", "01-02 01:30", "01-02 01:16"),
        # the same flight nearly a day late: 641-1242 for 900-1530 of the day before
        ("1-9 HA51 JFK-HNL", "01-09 14:00", "01-10 11:41", "01-10 01:30", "01-10 22:42"),
        # Phoenix, without summer time: 650-833 for 645-908
        ("7-4 US15 JFK-PHX", "07-04 10:45", "07-04 10:50", "07-04 16:08", "07-04 15:33"),
        # Anchorage, four hours behind: 1629-1954 for 1615-1953
        ("7-6 UA887 EWR-ANC", "07-06 20:15", "07-06 20:29", "07-07 03:53", "07-07 03:54"),
        # leaves at 2400, lands past midnight, was planned for the evening: 2400-102 for 2145-2315
        ("6-17 DL985 JFK-BOS", "06-18 01:45", "06-18 04:00", "06-18 03:15", "06-18 05:02"),
        # lands at 2400, early: 2245-2400 for 2255-019
        ("5-6 B6112 JFK-BUF", "05-07 02:55", "05-07 02:45", "05-07 04:19", "05-07 04:00"),
        # lands at 2400 of Los Angeles: 2140-2400 for 2145-105
        ("5-7 AA185 JFK-LAX", "05-08 01:45", "05-08 01:40", "05-08 08:05", "05-08 07:00"),
        # past midnight only because it is late: 2132-004 for 2115-2353
        ("4-3 B697 JFK-DEN", "04-04 01:15", "04-04 01:32", "04-04 05:53", "04-04 06:04"),
        # in the night to summer time, both ends in New York's zone; 203 is an hour that was left out: 2306-203
        ("3-9 B635 JFK-PBI", "03-10 02:45", "03-10 04:06", "03-10 05:34", "03-10 07:03"),
        # in the night to winter time, at the first of Los Angeles' two 1:14: 2217-114 for 1655-2015
        ("11-2 VX413 JFK-LAX", "11-02 20:55", "11-03 02:17", "11-03 03:15", "11-03 08:14"),
        # the first morning of summer time: 652-953 for 655-1015
        ("3-10 UA387 EWR-LAX", "03-10 10:55", "03-10 10:52", "03-10 17:15", "03-10 16:53"),
        # the first morning of winter time: 538-824 for 545-855
        ("11-3 AA2243 JFK-MIA", "11-03 10:45", "11-03 10:38", "11-03 13:55", "11-03 13:24"),
    ],
)
def test_instants_equal_those_worked_out_by_hand(
    flights: pd.DataFrame, flight: str, scheduled_departure: str, departure: str, scheduled_arrival: str, arrival: str
) -> None:
    day, number, airports = flight.split()
    month, of_month = map(int, day.split("-"))
    origin, dest = airports.split("-")
    found = flights[
        (flights["month"] == month)
        & (flights["day"] == of_month)
        & (flights["carrier"] + flights["flight"].astype(str) == number)
        & (flights["origin"] == origin)
        & (flights["dest"] == dest)
    ]
    assert len(found) == 1
    expected = {
        "scheduled_departure": scheduled_departure,
        "departure": departure,
        "scheduled_arrival": scheduled_arrival,
        "arrival": arrival,
    }
    assert {name: int(found[name].iloc[0]) for name in expected} == {name: utc(at) for name, at in expected.items()}


def test_arrivals_read_as_the_source_says_at_every_destination(flights: pd.DataFrame) -> None:
    zones = read_table("airports").set_index("faa")["tzone"].to_dict() | MISSING_ZONES
    landed = flights[flights["arrival"].notna()]
    wrong = []
    for zone, group in landed.groupby(landed["dest"].map(zones)):
        local = clock(group["arrival"].astype("int64"), str(zone))
        reading = local.dt.hour * 100 + local.dt.minute
        wrong.append(group[reading != group["arr_time"] % 2400])
    found = pd.concat(wrong)
    assert found[["month", "day", "carrier", "flight", "arr_time"]].to_numpy().tolist() == [[3, 9, "B6", 35, 203]]


def test_departures_read_as_the_source_says(flights: pd.DataFrame) -> None:
    left = flights[flights["departure"].notna()]
    for instant, reading in (("departure", "dep_time"), ("scheduled_departure", "sched_dep_time")):
        local = clock(left[instant].astype("int64"), NEW_YORK)
        assert (local.dt.hour * 100 + local.dt.minute == left[reading] % 2400).all()


def test_air_time_fits_between_departure_and_arrival(flights: pd.DataFrame) -> None:
    taxi = (flights["arrival"] - flights["departure"]) / 60 - flights["air_time"]
    assert taxi.min() >= 5
    assert taxi.max() <= 235
    assert taxi.median() == 28


def test_outcomes_are_known_for_flights_that_arrived_where_they_were_going(flights: pd.DataFrame) -> None:
    assert len(flights) == 336_776
    assert flights["arrival"].notna().sum() == 327_346
    np.testing.assert_array_equal(flights["arrival"].notna(), flights["arr_delay"].notna())
    assert flights["scheduled_departure"].is_monotonic_increasing


def test_weather_is_known_when_its_hour_has_been_summed_up(weather: pd.DataFrame) -> None:
    first = weather[weather["origin"] == "EWR"].iloc[0]
    assert first["time_hour"] == "2013-01-01T06:00:00Z"
    assert first["known"] == utc("01-01 06:51")
    assert not weather.duplicated(["origin", "known"]).any()
