"""The event log: one record per prediction and one per label, published off the request's path.

A gateway replica offers records to its :class:`Publisher`; the log behind it is an :class:`EventLog`.
``python -m app.events tail MODEL`` shows them.
"""

from app.events.event_id import EventIds
from app.events.event_log import EventLog, EventLogError, LogEntry, Record
from app.events.kind import LABELS, PREDICTIONS, EventKind
from app.events.label import Label
from app.events.output import MAX_OUTPUT_BYTES, Output, summarise
from app.events.prediction import Prediction, ViewTimes, hash_sticky_key
from app.events.publisher import Publisher, PublisherStats
from app.events.redis_streams import FIELD, RedisEventLog, connect_events, connect_labels, event_redis

__all__ = [
    "FIELD",
    "LABELS",
    "MAX_OUTPUT_BYTES",
    "PREDICTIONS",
    "EventIds",
    "EventKind",
    "EventLog",
    "EventLogError",
    "Label",
    "LogEntry",
    "Output",
    "Prediction",
    "Publisher",
    "PublisherStats",
    "Record",
    "RedisEventLog",
    "ViewTimes",
    "connect_events",
    "connect_labels",
    "event_redis",
    "hash_sticky_key",
    "summarise",
]
