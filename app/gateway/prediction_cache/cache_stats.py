"""Counters of a replica's prediction cache, since it started."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CacheStats:
    """A request counts as ``local``, ``shared``, ``misses`` or ``coalesced``; a waiter that had to lead counts again.

    Attributes:
        local: answered from this replica's memory.
        shared: answered from Redis.
        misses: found nowhere; the version was asked.
        coalesced: found the same request under way and waited for it.
        stored: answers that Redis took.
        dropped: answers not sent to Redis, or not taken: the queue was full, Redis away, or its memory spent.
        too_large: answers beyond the limit of an entry, kept nowhere.
        unfit: answers that have no encoding, kept nowhere.
        corrupt: bytes in Redis that are no answer.
        redis_errors: calls of Redis that failed or passed their deadline.
    """

    local: int = 0
    shared: int = 0
    misses: int = 0
    coalesced: int = 0
    stored: int = 0
    dropped: int = 0
    too_large: int = 0
    unfit: int = 0
    corrupt: int = 0
    redis_errors: int = 0
