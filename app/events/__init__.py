"""The event log: one record per prediction, published off the request's path. ``python -m app.events tail MODEL``.

A gateway replica offers records to its :class:`Publisher`; the log behind it is an :class:`EventLog`.
"""

from app.events.event_id import EventIds
from app.events.output import MAX_OUTPUT_BYTES, Output, summarise
from app.events.prediction import Prediction, ViewTimes, hash_sticky_key
from app.events.protocol import Entry, EventLog, EventLogError
from app.events.publisher import Publisher, PublisherStats
from app.events.redis_streams import RedisEventLog, connect_events

__all__ = [
    "MAX_OUTPUT_BYTES",
    "Entry",
    "EventIds",
    "EventLog",
    "EventLogError",
    "Output",
    "Prediction",
    "Publisher",
    "PublisherStats",
    "RedisEventLog",
    "ViewTimes",
    "connect_events",
    "hash_sticky_key",
    "summarise",
]
