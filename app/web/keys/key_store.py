"""API keys in Redis, and the watch that keeps a gateway replica's copy current."""

from __future__ import annotations

import logging
from typing import cast

from redis.asyncio import Redis

from app.routing.redis_watch import Watch
from app.web.keys.api_key import ApiKey, BadKeyError, decode, revoked

log = logging.getLogger(__name__)

KEYS = "tidegate:{keys}"
CHANNEL = "tidegate:{keys}:changed"


class KeyStore:
    """One hash: id -> document. Every method raises ``redis.RedisError`` when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def documents(self) -> dict[bytes, bytes]:
        """Returns the stored documents by id."""
        return cast(dict[bytes, bytes], await self._redis.hgetall(KEYS))

    async def read_all(self) -> list[ApiKey]:
        """Every key, oldest first."""
        return sorted(readable(await self.documents()), key=lambda key: (key.created, key.id))

    async def add(self, key: ApiKey) -> None:
        """Stores a new key; every replica knows it within about a second."""
        await self._put(key)

    async def revoke(self, key: ApiKey, now: int) -> ApiKey:
        """Revokes a key; idempotent.

        Args:
            now: seconds since the epoch.
        """
        changed = revoked(key, now)
        await self._put(changed)
        return changed

    async def _put(self, key: ApiKey) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(KEYS, key.id, key.encode())
            pipe.publish(CHANNEL, key.id)
            await pipe.execute()


class KeyWatch(Watch):
    """The keys that one replica knows.

    A key changes once in its life, when it is revoked. So a revoked one stays revoked here and one whose document is
    gone stays known, whatever a Redis that lost its last second, or all its data, answers.

    Attributes:
        keys: id -> key.
    """

    def __init__(self, redis: Redis, refresh_s: float) -> None:
        super().__init__(redis, CHANNEL, refresh_s, "API keys")
        self._store = KeyStore(redis)
        self._documents: dict[bytes, bytes] = {}
        self.keys: dict[str, ApiKey] = {}

    async def _read_all(self) -> None:
        documents = await self._store.documents()
        if documents != self._documents:  # almost never: most reads find what the last one found
            self._documents = documents
            for key in readable(documents):
                self._apply(key)

    async def _read_one(self, name: str) -> None:
        await self._read_all()  # keys change seldom, and all of them are one command

    def _apply(self, key: ApiKey) -> None:
        held = self.keys.get(key.id)
        if held != key and (held is None or held.revoked is None):
            self.keys[key.id] = key
            log.info("API key %s (%s) %s", key.id, key.name, "is revoked" if key.revoked else "is known")


def readable(documents: dict[bytes, bytes]) -> list[ApiKey]:
    """The keys in the documents; one that cannot be read is logged and left out, so it opens nothing."""
    found = []
    for id_, document in documents.items():
        try:
            key = decode(document)
        except BadKeyError as error:
            log.error("API key %s in Redis cannot be read: %s", id_.decode(errors="replace"), error)
            continue
        if key.id.encode() != id_:
            log.error("API key %s in Redis holds the document of %s", id_.decode(errors="replace"), key.id)
            continue
        found.append(key)
    return found
