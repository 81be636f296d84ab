"""Feature views: rows by event, and the point-in-time join that looks them up as they were known."""

from app.features.aggregations import Aggregation, CountWithin, DecayedMean, Last, MeanOfLast, ShareAbove
from app.features.point_in_time import Matches, latest_rows
from app.features.rolling import EventLog, FeatureRows, RollingView, State, batch_rows, update

__all__ = [
    "Aggregation",
    "CountWithin",
    "DecayedMean",
    "EventLog",
    "FeatureRows",
    "Last",
    "Matches",
    "MeanOfLast",
    "RollingView",
    "ShareAbove",
    "State",
    "batch_rows",
    "latest_rows",
    "update",
]
