"""The names and types of a request's columns, and which of them each configuration uses."""

from __future__ import annotations

from typing import Literal

from app.recipes.flights.views import VIEWS

Features = Literal["static", "online"]
ColumnType = Literal["string", "long", "double"]

PLAIN: dict[str, ColumnType] = {
    "carrier": "string",
    "origin": "string",
    "dest": "string",
    "tailnum": "string",
    "plane_engine": "string",
    "weekday": "long",
    "hour": "long",
    "minute": "long",
    "distance": "long",
    "scheduled_minutes": "double",
    "plane_year": "double",
    "plane_seats": "double",
}
"""What the caller says. Text that is not known is empty; ``weekday`` is 0 on Mondays; ``hour`` and ``minute`` are the
scheduled departure in New York; ``distance`` is in miles."""

OPTIONAL = ("plane_year", "plane_seats")
"""Plain columns that may be left out or null."""

FEATURES: dict[Features, tuple[str, ...]] = {
    "static": (),
    "online": tuple(column for view in VIEWS for column in view.columns),
}
"""Columns that are looked up, all doubles; one that is missing is left out or null."""


def column_types(features: Features) -> dict[str, ColumnType]:
    """All columns of a configuration's requests, in order."""
    return {**PLAIN, **dict.fromkeys(FEATURES[features], "double")}
