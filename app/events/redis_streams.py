"""The event log in Redis: one stream per model and kind of record, trimmed to a length, read or not."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Sequence
from typing import Any, Generic, TypeVar, cast

from redis.asyncio import Redis

from app.events.event_log import EventLog, EventLogError, LogEntry, R
from app.events.kind import LABELS, PREDICTIONS, EventKind
from app.events.label import Label
from app.events.prediction import Prediction
from app.events.redis_consumer import FIELD, RedisConsumer, answered
from app.redis_client import connect, is_temporary
from app.settings import RedisSettings, Settings

T = TypeVar("T")

START = "0-0"
"""The position before every record."""
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


def event_redis(settings: Settings) -> RedisSettings:
    """The Redis of TIDEGATE_EVENTS_URL where that is one, else the Redis of everything else."""
    if settings.events.url is None or not settings.events.url.startswith(REDIS_SCHEMES):
        return settings.redis
    own = {"url": settings.events.url, "password": settings.events.password}
    return settings.redis.model_copy(update=own)


class RedisSink:
    """An ``EventSink`` over Redis Streams, in the Redis of :func:`event_redis`."""

    def __init__(self, settings: Settings) -> None:
        redis = event_redis(settings)
        self._redis, self._timeout_s = connect(redis), redis.timeout_s
        maxlen = settings.events.maxlen
        self.predictions: EventLog[Prediction] = RedisEventLog(self._redis, PREDICTIONS, maxlen, self._timeout_s)
        self.labels: EventLog[Label] = RedisEventLog(self._redis, LABELS, maxlen, self._timeout_s)

    def consumer(self, model: str, group: str, member: str) -> RedisConsumer:
        """A member of a consumer group on both streams of a model; see ``EventSink``."""
        return RedisConsumer(self._redis, model, group, member, self._timeout_s)

    async def close(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()


class RedisEventLog(Generic[R]):
    """An ``EventLog`` over Redis Streams.

    Args:
        redis: a client; its owner closes it.
        kind: of the records.
        maxlen: records that a stream keeps, to within Redis' block of about a hundred.
        timeout_s: deadline of one call, seconds.
    """

    def __init__(self, redis: Redis, kind: EventKind[R], maxlen: int, timeout_s: float) -> None:
        self._redis = redis
        self._kind = kind
        self._maxlen = maxlen
        self._timeout_s = timeout_s

    @property
    def start(self) -> str:
        """The position before every record."""
        return START

    def parse_position(self, text: str) -> str:
        """An entry's id, or a time in milliseconds since the epoch; see ``EventLog``."""
        if not re.fullmatch(r"\d{1,20}(-\d{1,20})?", text):
            raise ValueError("a position such as 1760000000000-0")
        return text

    async def publish(self, records: Sequence[R]) -> int:
        """Appends the records by one pipeline; see ``EventLog``."""
        refused = 0
        models = set()
        async with self._redis.pipeline(transaction=False) as pipe:
            for record in records:
                try:
                    data = record.encode()
                except (TypeError, ValueError, OverflowError):  # one record's fault must not hold up the others
                    refused += 1
                    continue
                pipe.xadd(self._kind.stream(record.model), {FIELD: data}, maxlen=self._maxlen, approximate=True)
                models.add(record.model)
            if not models:
                return refused
            # With every batch: a Redis that lost its data learns the models again.
            pipe.sadd(self._kind.models, *models)
            answers = await self._answered(pipe.execute(raise_on_error=False))
        errors = [answer for answer in answers[:-1] if isinstance(answer, Exception)]
        for error in errors:
            if is_temporary(error):
                raise EventLogError(f"the event log in Redis takes no records now: {error}") from error
        return refused + len(errors)

    async def read(self, model: str, after: str, count: int, wait_s: float) -> list[LogEntry[R]]:
        """The next records; see ``EventLog``. It never waits longer than half of its deadline."""
        wait_ms = int(min(wait_s, self._timeout_s / 2) * 1000)
        found: Any = await self._answered(
            self._redis.xread({self._kind.stream(model): after}, count=count, block=wait_ms or None)
        )
        # [[stream, [(position, fields), …]]] by RESP2, {stream: [[(position, fields), …]]} by RESP3
        entries: Any = [] if not found else next(iter(found.values()))[0] if isinstance(found, dict) else found[0][1]
        return [
            LogEntry(position.decode(), self._kind.decode(fields.get(FIELD, b""))) for position, fields in entries
        ]

    async def newest(self, model: str) -> str:
        """The position of a model's newest record; the start's where there is none."""
        found: Any = await self._answered(self._redis.xrevrange(self._kind.stream(model), count=1))
        return found[0][0].decode() if found else START

    async def models(self) -> list[str]:
        """Models that have records, by name."""
        found = cast(set[bytes], await self._answered(self._redis.smembers(self._kind.models)))
        return sorted(name.decode() for name in found)

    async def _answered(self, answer: Awaitable[T]) -> T:
        return await answered(answer, self._timeout_s)
