"""The event log in Redis: one stream per model and kind of record, trimmed to a length, read or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Generic, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.events.event_log import EventLogError, LogEntry, R
from app.events.kind import LABELS, PREDICTIONS, EventKind
from app.events.label import Label
from app.events.prediction import Prediction
from app.redis_client import connect
from app.settings import RedisSettings, Settings

T = TypeVar("T")

START = "0-0"
"""The position before every record."""
FIELD = b"r"
"""The field of a stream's entry that holds the record."""

# The server is the reason, not the record: it cannot save, or is not done with something else. So are all errors that
# redis-py has a class for: the server is full, is starting, is not the one to write to.
_TEMPORARY = ("MISCONF", "NOREPLICAS", "BUSY")


def is_temporary(error: Exception) -> bool:
    """Whether a command that failed so may be taken later: the server is the reason, not the record."""
    return type(error) is not ResponseError or str(error).startswith(_TEMPORARY)


def event_redis(settings: Settings) -> RedisSettings:
    """Where the streams are: a Redis of their own, or the one of everything else."""
    if settings.events.url is None:
        return settings.redis
    own = {"url": settings.events.url, "password": settings.events.password}
    return settings.redis.model_copy(update=own)


def connect_events(settings: Settings) -> RedisEventLog[Prediction]:
    """The log of predictions of these settings, over a connection of its own."""
    return _connect(settings, PREDICTIONS)


def connect_labels(settings: Settings) -> RedisEventLog[Label]:
    """The log of labels of these settings, over a connection of its own."""
    return _connect(settings, LABELS)


def _connect(settings: Settings, kind: EventKind[R]) -> RedisEventLog[R]:
    redis = event_redis(settings)
    return RedisEventLog(connect(redis), kind, settings.events.maxlen, redis.timeout_s)


class RedisEventLog(Generic[R]):
    """An ``EventLog`` over Redis Streams.

    Args:
        redis: a client of its own, closed by :meth:`close`.
        kind: of the records.
        maxlen: records that a stream keeps, to within Redis' block of about a hundred.
        timeout_s: deadline of one call, seconds.
    """

    def __init__(self, redis: Redis, kind: EventKind[R], maxlen: int, timeout_s: float) -> None:
        self._redis = redis
        self._kind = kind
        self._maxlen = maxlen
        self._timeout_s = timeout_s

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.aclose()

    async def publish(self, records: Sequence[R]) -> int:
        """Append the records by one pipeline; see ``EventLog``."""
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
        """The position of a model's newest record; the start's where there is none.

        Raises:
            EventLogError: the log is away.
        """
        found: Any = await self._answered(self._redis.xrevrange(self._kind.stream(model), count=1))
        return found[0][0].decode() if found else START

    async def models(self) -> list[str]:
        """Models that have records, by name.

        Raises:
            EventLogError: the log is away.
        """
        found = cast(set[bytes], await self._answered(self._redis.smembers(self._kind.models)))
        return sorted(name.decode() for name in found)

    async def _answered(self, answer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except (RedisError, OSError) as error:  # a passed deadline is a TimeoutError, which is an OSError
            reason = str(error) or type(error).__name__
            raise EventLogError(
                f"the event log in Redis gave no answer (deadline {self._timeout_s:g} s): {reason}"
            ) from error
