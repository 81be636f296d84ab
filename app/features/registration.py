"""The views that an online store holds, registered beside their rows: a name means one entity and one schema."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from app.errors import InvalidArgumentError
from app.features.catalog import Catalog
from app.features.entity import PREFIX
from app.features.online import OnlineStore
from app.features.view import FeatureView
from app.features.view_document import carried_over, from_document, to_document

VIEWS_KEY = f"{PREFIX}:views"
"""A hash: document by name."""


class RegistrationError(InvalidArgumentError, ValueError):
    """A view of that name is another one; the message says in what."""


class Registration:
    """Reads and writes the registered views. Every method raises FeatureStoreError when Redis is away."""

    def __init__(self, redis: Redis, store: OnlineStore) -> None:
        self._redis, self._store = redis, store

    async def views(self) -> tuple[FeatureView, ...]:
        """All registered views, by name.

        Raises:
            ValueError: a document in Redis is none.
        """
        held = await self._store.within_deadline(cast(Any, self._redis.hgetall(VIEWS_KEY)))
        return tuple(from_document(msgspec.json.decode(held[name])) for name in sorted(held))

    async def register(self, views: Collection[FeatureView], replace: bool = False) -> None:
        """Registers views; a new ttl, default or source of a known view takes the place of the old. Idempotent.

        Args:
            replace: take the place of a view with another entity or other typed fields, too; rows of the old schema
                count as missing from then on.

        Raises:
            ValueError: the views contradict each other.
            RegistrationError: another view of that name is registered, or one that this version cannot read.
        """
        Catalog(tuple(views))
        for view in views:
            document = to_document(view)
            encoded = msgspec.json.encode(document)
            # Of two that register a name at once, one is first and the other is compared with it.
            first = await self._store.within_deadline(cast(Any, self._redis.hsetnx(VIEWS_KEY, view.name, encoded)))
            if first:
                continue
            stored = await self._store.within_deadline(cast(Any, self._redis.hget(VIEWS_KEY, view.name)))
            if stored is not None and not replace:
                held = msgspec.json.decode(stored)
                try:
                    _check_same(from_document(held), view)
                except ValueError as error:
                    raise RegistrationError(str(error)) from error
                document = carried_over(held, document)
                if document == held:
                    continue
            await self._store.within_deadline(
                cast(Any, self._redis.hset(VIEWS_KEY, view.name, msgspec.json.encode(document)))
            )


def _check_same(held: FeatureView, view: FeatureView) -> None:
    for what, there, here in (
        ("entity", ", ".join(held.entity), ", ".join(view.entity)),
        ("features", _typed(held), _typed(view)),
    ):
        if there != here:
            raise RegistrationError(
                f"feature view {view.name} is registered with the {what} {there}; this one has {here}: "
                "choose another name, or replace it"
            )


def _typed(view: FeatureView) -> str:
    return ", ".join(f"{feature.name} {feature.dtype}" for feature in view.features)
