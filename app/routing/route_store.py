"""Route tables in Redis: compare-and-set writes, and the watch that keeps a gateway replica up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from redis.asyncio import Redis

from app.errors import FailedPreconditionError
from app.redis_client import connect as connect  # for those who need the store and its client
from app.routing.redis_watch import Watch
from app.routing.route_table import RouteError, RouteTable, decode, new_table, newest

log = logging.getLogger(__name__)

# One hash tag: every key of the store lives in one slot of a Redis Cluster, as the script needs.
INDEX = "tidegate:{routes}"
CHANNEL = "tidegate:{routes}:changed"

# Writes the table only if the revision in Redis is still the one that the change was made from.
_SWAP = """
local held = redis.call('GET', KEYS[1])
local revision = held and cjson.decode(held)['revision'] or 0
if revision ~= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('SADD', KEYS[2], ARGV[3])
redis.call('PUBLISH', KEYS[3], ARGV[3])
return 1
"""


class RevisionConflictError(FailedPreconditionError, RouteError):
    """The table was changed by someone else in between."""


def now_ms() -> int:
    """Wall clock, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def key_of(model: str) -> str:
    """The Redis key of a model's table."""
    return f"{INDEX}:{model}"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


class RouteStore:
    """Reads and writes route tables. Every method raises ``redis.RedisError`` when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._swap = redis.register_script(_SWAP)

    async def close(self) -> None:
        """Closes the connection."""
        await self._redis.aclose()

    async def read(self, model: str) -> RouteTable | None:
        """A model's table, or None when it has none."""
        document = await self._redis.get(key_of(model))
        return decode(document) if document is not None else None

    async def read_all(self) -> dict[str, RouteTable]:
        """Every model's table; one that cannot be read is logged and left out."""
        models = sorted(_text(name) for name in await self._redis.smembers(INDEX))
        if not models:
            return {}
        documents = await self._redis.mget([key_of(model) for model in models])
        tables = {}
        for model, document in zip(models, documents, strict=True):
            try:
                if document is not None:
                    tables[model] = decode(document)
            except RouteError as error:  # of one model; the others must not stand still for it
                log.error("the route table of %s in Redis cannot be read: %s", model, error)
        return tables

    async def write(self, held_revision: int, table: RouteTable) -> None:
        """Stores ``table`` if the revision in Redis is ``held_revision`` (0: there is none), and announces it.

        Raises:
            RevisionConflictError: the revision is another one.
        """
        done = await self._swap(
            keys=[key_of(table.model), INDEX, CHANNEL], args=[held_revision, table.encode(), table.model]
        )
        if not done and await self.read(table.model) != table:  # equal: our first sending was applied, its reply lost
            raise RevisionConflictError(
                f"the route table of {table.model} is no longer at revision {held_revision}; read it again"
            )

    async def change(self, model: str, change: Callable[[RouteTable, int], RouteTable], tries: int = 5) -> RouteTable:
        """Read, apply ``change(table, now_ms)``, write; again when someone else was quicker.

        Args:
            change: pure; it sees an empty table when the model has none, and may raise :class:`RouteError`.

        Returns:
            The table as written.
        """
        for left in reversed(range(tries)):
            held = await self.read(model)
            table = change(held or new_table(model, now_ms()), now_ms())
            try:
                await self.write(held.revision if held else 0, table)
            except RevisionConflictError:
                if not left:
                    raise
            else:
                return table
        raise AssertionError("unreachable")


class RouteWatch(Watch):
    """One gateway replica's tables: the newest of each model, never going back."""

    def __init__(self, redis: Redis, refresh_s: float) -> None:
        super().__init__(redis, CHANNEL, refresh_s, "route tables")
        self._store = RouteStore(redis)
        self.tables: dict[str, RouteTable] = {}

    async def _read_all(self) -> None:
        for table in (await self._store.read_all()).values():
            self._apply(table)

    async def _read_one(self, name: str) -> None:
        if table := await self._store.read(name):
            self._apply(table)

    def _apply(self, table: RouteTable) -> None:
        held = self.tables.get(table.model)
        if newest(held, table) is not held:
            self.tables[table.model] = table
            log.info("routes of %s: revision %d, %s", table.model, table.revision, table.weights)
