"""Feast's views and the rows of them that the tests know, written by Feast or recorded from it."""

from __future__ import annotations

from typing import Any

from app.features import REJECT, Entity, Feature, FeatureView, Row
from app.features.feast import FeastView, JoinKey

SECOND = 1_000_000
NOW = 1_380_000_000 * SECOND
TTL = 3600
PROJECT = "airports"
LARGE = 2**53 - 1
"""Feast sends a column of integers with a null in it through doubles, so no larger one can be expected back."""

ROUTES = FeatureView(
    name="routes",
    entity=("carrier", "airport"),
    features=(
        Feature("ratio", "float64", REJECT),
        Feature("score", "float32", REJECT),
        Feature("trips", "int64", REJECT),
        Feature("gates", "int64", REJECT),
        Feature("hub", "bool", REJECT),
        Feature("city", "string", REJECT),
        Feature("opened", "int64", REJECT),
    ),
    ttl=TTL,
    event_time="event_timestamp",
    source="feast",
)
DELAYS = FeatureView(
    name="delays",
    entity=("airport", "carrier"),
    features=(Feature("mean", "float64", 0.0),),
    ttl=TTL,
    event_time="event_timestamp",
    source="feast",
)
"""Of the same entity as the routes, so that Feast keeps both in one hash."""
WEATHER = FeatureView(
    name="weather",
    entity=("station",),
    features=(Feature("wind", "float32", 0.0),),
    ttl=TTL,
    event_time="event_timestamp",
    source="feast",
)

CARRIER, AIRPORT, STATION = JoinKey("carrier", "string"), JoinKey("airport", "int64"), JoinKey("station", "int32")
FEAST_ROUTES = FeastView(
    ROUTES,
    PROJECT,
    "route_stats",
    (CARRIER, AIRPORT),
    ("ratio", "score", "trips", "gates", "is_hub", "city", "opened"),
)
FEAST_DELAYS = FeastView(DELAYS, PROJECT, "delays", (AIRPORT, CARRIER), ("mean",))
FEAST_WEATHER = FeastView(WEATHER, PROJECT, "weather", (STATION,), ("wind",))
TYPES = {
    FEAST_ROUTES: ("Float64", "Float32", "Int64", "Int32", "Bool", "String", "UnixTimestamp"),
    FEAST_DELAYS: ("Float64",),
    FEAST_WEATHER: ("Float32",),
}
"""Feast's types, by view."""

ROWS: dict[FeastView, dict[Entity, Row]] = {
    FEAST_ROUTES: {
        ("AA", 7): Row(NOW + 123_456, (0.1, 0.25, LARGE, -3, True, "Zürich 🛬", 86_400)),
        ("B6", -1): Row(NOW - 1, (float("inf"), -0.5, -LARGE, 2**31 - 1, False, "", 0)),
        ("DL", 2**63 - 1): Row(NOW, (None,) * 7),
    },
    FEAST_DELAYS: {(7, "AA"): Row(NOW - TTL * SECOND, (12.5,)), (7, "UA"): Row(NOW, (0.0,))},
    FEAST_WEATHER: {(-5,): Row(NOW, (3.5,))},
}


def asked_of_feast() -> dict[str, Any]:
    """The rows that ``repository.py`` is told to write."""
    return {"project": PROJECT, "views": [_told(source) for source in ROWS]}


def _told(source: FeastView) -> dict[str, Any]:
    join_keys = [key.name for key in source.join_keys]
    return {
        "name": source.name,
        "ttl": TTL,
        "join_keys": [[key.name, key.type.capitalize()] for key in source.join_keys],
        "features": list(zip(source.features, TYPES[source], strict=True)),
        "rows": [
            {
                **dict(zip(join_keys, entity, strict=True)),
                **dict(zip(source.features, _columns(source, row), strict=True)),
                "event_timestamp": row.event_time,
            }
            for entity, row in ROWS[source].items()
        ],
    }


def _columns(source: FeastView, row: Row) -> list[Any]:
    """The values as Parquet has them: a timestamp in microseconds."""
    return [
        value * SECOND if type_ == "UnixTimestamp" and isinstance(value, int) else value
        for type_, value in zip(TYPES[source], row.values, strict=True)
    ]
