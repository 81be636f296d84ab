"""Views that the tests of the online features share."""

from __future__ import annotations

from app.features import REJECT, Feature, FeatureView

SECOND = 1_000_000
NOW = 1_380_000_000 * SECOND

TAIL = FeatureView(
    name="tail",
    entity=("tailnum",),
    features=(Feature("last", "float64", 0.0), Feature("count", "int64", 0)),
    ttl=3600,
    event_time="landed",
    source="arrivals",
)
BASE = FeatureView(
    name="base",
    entity=("carrier", "origin"),
    features=(Feature("mean", "float32", REJECT), Feature("hub", "bool", False), Feature("note", "string", "none")),
    ttl=60,
    event_time="landed",
    source="arrivals",
)
