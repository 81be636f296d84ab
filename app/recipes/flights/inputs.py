"""The columns of a request that enter the network as categories, those that enter as numbers, and their scale."""

from __future__ import annotations

from app.recipes.flights.columns import Features
from app.recipes.flights.views import VIEWS

CATEGORIES = ("carrier", "origin", "dest", "tailnum", "plane_engine", "weekday")
"""The month is left out: the test months are not among those of training."""

AGE_UNIT = 600.0
"""Ages in seconds count logarithmically from about ten minutes on."""

_PLAIN: dict[str, float | None] = {
    "time_of_day": None,
    "minute": None,
    "distance": None,
    "scheduled_minutes": None,
    "plane_year": None,
    "plane_seats": None,
}
_TURNAROUND: dict[str, float | None] = {"tail_since_possible_return": 10.0, "tail_since_round_trip": 10.0}
_LINEAR = ("late30", "decayed30m", "elapsed", "scheduled")


def numbers(features: Features) -> dict[str, float | None]:
    """Unit of the logarithmic scale by numeric input; None for a linear one."""
    if features == "static":
        return _PLAIN
    looked_up: dict[str, float | None] = {}
    for view in VIEWS:
        linear = view.source in ("punctuality", "weather")
        looked_up |= {
            f"{view.name}_{feature}": None if linear or feature in _LINEAR else 1.0 for feature in view.features
        }
        looked_up[view.age] = AGE_UNIT
    looked_up["weather_precip"] = 0.01
    return _PLAIN | looked_up | _TURNAROUND
