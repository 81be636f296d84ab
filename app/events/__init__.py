"""Events: one record per prediction and one per label, published off the request's path.

A gateway replica offers records to a ``Publisher``, which sends them to an ``EventLog`` of the ``EventSink`` in the
settings (``sinks.SINKS``). ``tidegate events tail MODEL`` shows them; the release controller joins labels with
predictions (``app.monitoring.labels``) as an ``EventConsumer``.

Records: ``prediction`` (with its ``output``) and ``label``, by ``event_id`` and ``kind``. Protocols: ``event_log``;
``publisher`` writes to one. The sink in Redis: ``redis_streams``, and ``redis_consumer`` for its consumer groups.
"""

from app.events.event_id import EventIds
from app.events.event_log import (
    EventConsumer,
    EventLog,
    EventLogError,
    EventSink,
    EventWriter,
    LogEntry,
    ReadEntries,
    Record,
)
from app.events.kind import LABELS, PREDICTIONS, EventKind
from app.events.label import Label
from app.events.output import MAX_OUTPUT_BYTES, Output, summarise
from app.events.prediction import Prediction, ViewTimes, hash_sticky_key
from app.events.publisher import Publisher, PublisherStats
from app.events.redis_streams import RedisEventLog, RedisSink, event_redis
from app.events.sinks import SINKS, connect_sink

__all__ = [
    "LABELS",
    "MAX_OUTPUT_BYTES",
    "PREDICTIONS",
    "SINKS",
    "EventConsumer",
    "EventIds",
    "EventKind",
    "EventLog",
    "EventLogError",
    "EventSink",
    "EventWriter",
    "Label",
    "LogEntry",
    "Output",
    "Prediction",
    "Publisher",
    "PublisherStats",
    "ReadEntries",
    "Record",
    "RedisEventLog",
    "RedisSink",
    "ViewTimes",
    "connect_sink",
    "event_redis",
    "hash_sticky_key",
    "summarise",
]
