"""Feast's rows in Redis, read by one pipeline of HMGET for all views and entities of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.clock import now_us
from app.features.entity import Entity
from app.features.feast.keys import EntityKeys, hash_fields
from app.features.feast.source import FeastView
from app.features.feast.wire import RowDecoder
from app.features.feature_row import Row, Unreadable
from app.features.online import FeatureStoreError
from app.features.view_rows import MISSING, OnlineRow, RowStatus, ViewRequest, ViewRows

Reply = list[bytes | None] | ResponseError
"""Of one HMGET: the fields, or that the key holds no hash."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """The keys, fields and decoder of one view."""

    keys: EntityKeys
    fields: list[bytes]
    decoder: RowDecoder

    @classmethod
    def of(cls, source: FeastView) -> _Reader:
        return cls(EntityKeys(source), list(hash_fields(source)), RowDecoder(source.view))


class FeastStore:
    """Reads like :class:`app.features.OnlineStore`, from what ``feast materialize`` has written.

    Args:
        redis: a client of Feast's Redis that answers with bytes (no ``decode_responses``).
        views: the views that can be asked for.
        timeout_s: deadline of one read, seconds.
        clock: microseconds since the epoch; a replay of history brings its own.

    Raises:
        ValueError: two of the views are one.
    """

    def __init__(
        self, redis: Redis, views: Iterable[FeastView], timeout_s: float, clock: Callable[[], int] = now_us
    ) -> None:
        self._redis = redis
        self._timeout_s = timeout_s
        self._clock = clock
        self._readers: dict[str, _Reader] = {}
        for source in views:
            if source.view.schema in self._readers:
                raise ValueError(
                    f"feature view {source.view.name} has more than one Feast view, {source.name} the last"
                )
            self._readers[source.view.schema] = _Reader.of(source)

    async def read(self, requests: Sequence[ViewRequest]) -> tuple[ViewRows, ...]:
        """The rows of all views and entities of a request, in one round trip; one answer for each ``ViewRequest``.

        A key that holds no hash counts as corrupt, a row with a feature of another type or none as of another schema.

        Raises:
            ValueError: a view has no Feast view here.
            EntityError: an entity cannot be one of its view.
            FeatureStoreError: Redis is away, too slow or refuses.
        """
        readers = [self._reader(request) for request in requests]
        keys = [
            {entity: reader.keys.key_of(entity) for entity in request.entities if entity is not None}
            for request, reader in zip(requests, readers, strict=True)
        ]
        asked = [
            (key, reader.fields) for reader, of_view in zip(readers, keys, strict=True) for key in of_view.values()
        ]
        replies = iter(await self._fetch(asked) if asked else [])
        now = self._clock()
        return tuple(
            _rows(request, reader.decoder, {entity: next(replies) for entity in of_view}, now)
            for request, reader, of_view in zip(requests, readers, keys, strict=True)
        )

    def _reader(self, request: ViewRequest) -> _Reader:
        found = self._readers.get(request.view.schema)
        if found is None:
            raise ValueError(f"feature view {request.view.name} has no Feast view of its name and features here")
        return found

    async def _fetch(self, asked: Sequence[tuple[bytes, list[bytes]]]) -> list[Reply]:
        try:
            async with asyncio.timeout(self._timeout_s), self._redis.pipeline(transaction=False) as pipe:
                for key, fields in asked:
                    pipe.hmget(key, fields)
                replies: list[Reply] = await pipe.execute(raise_on_error=False)
            for reply in replies:
                if isinstance(reply, Exception) and not _is_no_hash(reply):
                    raise reply
        except (RedisError, OSError) as error:  # a passed deadline is a TimeoutError, which is an OSError
            reason = str(error) or type(error).__name__
            raise FeatureStoreError(
                f"Feast's Redis gave no answer (deadline {self._timeout_s} s): {reason}"
            ) from error
        return replies


def _is_no_hash(error: Exception) -> bool:
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")


def _rows(request: ViewRequest, decoder: RowDecoder, replies: dict[Entity, Reply], now: int) -> ViewRows:
    found: dict[Entity | None, OnlineRow] = {None: MISSING}
    unreadable = []
    for entity, reply in replies.items():
        row = Unreadable.CORRUPT if isinstance(reply, ResponseError) else decoder.row(reply)
        if isinstance(row, Row):
            fresh = request.view.is_fresh(row.event_time, now)
            found[entity] = OnlineRow(RowStatus.FRESH if fresh else RowStatus.STALE, row)
        else:
            found[entity] = MISSING
            if row is not None:
                unreadable.append(row)
    return ViewRows(
        view=request.view,
        read_at=now,
        rows=tuple(found[entity] for entity in request.entities),
        corrupt=unreadable.count(Unreadable.CORRUPT),
        other_schema=unreadable.count(Unreadable.OTHER_SCHEMA),
    )
