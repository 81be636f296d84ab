"""The rate limiter: counts each request, calls Redis once per lot of tokens, has its own bucket without Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.errors import ResourceExhaustedError
from app.gateway.access.rate_limit.bucket import LEASE_S, Bucket, lot_of, pause_s, retry_after_s, share_of
from app.gateway.access.rate_limit.shared_buckets import SharedBuckets, Taken
from app.gateway.time_limits import RATE_LIMITER_DEADLINE_S
from app.web.keys import Caller, Limit

log = logging.getLogger(__name__)

PROBE_S = 1.0
"""While Redis is away one call tries it again at this interval, beside the requests; seconds."""


@dataclass(frozen=True, slots=True)
class LimiterStats:
    """Counts since the start.

    Attributes:
        refused: requests refused.
        calls: calls to Redis.
        failed_calls: those without an answer.
        decided_locally: requests decided by this replica's own bucket.
        local: whether that is so now.
    """

    refused: int
    calls: int
    failed_calls: int
    decided_locally: int
    local: bool


@dataclass(slots=True)
class _Account:
    """Tokens that this replica holds for one key; made when the key is first used."""

    key_id: str
    limit: Limit
    own: Bucket
    lot: int = 0
    lease_ends: float = 0.0
    waiting: int = 0
    left: float = 0.0  # in the shared bucket, when it was last asked
    ask_from: float = 0.0  # not before: it holds too little to be worth a call
    call: asyncio.Task[None] | None = None


class RateLimiter:
    """The rate limiter of one replica.

    All replicas together let no more than ``rate * t + burst`` requests through in any time ``t`` from the bucket's
    first use, and in a later one at most ``replicas`` lots (a tenth of a second of the rate each, a quarter of the
    burst at most) more, which were taken before it began. Without Redis each replica lets its share through: ``rate``
    and ``burst`` divided by ``replicas``; what it took from the shared bucket just before counts, and replicas beyond
    that number let their share through too.

    Args:
        redis: a client of its own, closed by :meth:`stop`.
        replicas: gateway replicas that always run.
        clock: monotonic seconds.
    """

    def __init__(self, redis: Redis, replicas: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = SharedBuckets(redis)
        self._replicas = replicas
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._local = False
        self._probe_from = 0.0
        self._refused = self._calls = self._failed_calls = self._decided_locally = 0

    async def stop(self) -> None:
        """Ends the calls in flight and closes the connection."""
        calls = [
            call for account in self._accounts.values() if (call := account.call) is not None and not call.done()
        ]
        for call in calls:
            call.cancel()
        for call in calls:
            with suppress(asyncio.CancelledError):
                await call
        await self._shared.close()

    def stats(self) -> LimiterStats:
        """Counts since the start."""
        return LimiterStats(self._refused, self._calls, self._failed_calls, self._decided_locally, self._local)

    async def admit(self, caller: Caller) -> None:
        """Counts one request of the caller; waits only when a lot is used up.

        Raises:
            ResourceExhaustedError: the key's rate is used up.
        """
        limit = caller.limit
        if limit is None:
            return
        now = self._clock()
        account = self._accounts.get(caller.key_id)
        if account is None:
            own = Bucket.full(share_of(limit, self._replicas), now)
            account = self._accounts[caller.key_id] = _Account(caller.key_id, limit, own)
        if account.lot and now < account.lease_ends:
            account.lot -= 1
            return
        if not await self._from_shared(account, now):
            self._from_own(account, caller)
        elif account.lot:
            account.lot -= 1
        else:
            self._refuse(caller, limit, retry_after_s(limit, account.left))

    async def _from_shared(self, account: _Account, now: float) -> bool:
        """Waits for a lot of tokens, or until the shared bucket is known to be empty. False: Redis does not say."""
        if self._local:
            if now >= self._probe_from:
                self._probe_from = now + PROBE_S
                self._take_from_redis(account)  # and do not wait: the answer ends the local mode
            return False
        account.waiting += 1
        try:
            async with asyncio.timeout(RATE_LIMITER_DEADLINE_S):
                while not (account.lot and now < account.lease_ends):
                    if now < account.ask_from:
                        account.lot = 0
                        return True
                    await asyncio.shield(self._take_from_redis(account))
                    if self._local:
                        return False
                    now = self._clock()
        except TimeoutError:
            return False
        finally:
            account.waiting -= 1
        return True

    def _take_from_redis(self, account: _Account) -> asyncio.Task[None]:
        """The one call in flight for this key; begins one where there is none. Never one that is over: to wait for
        that gives the loop no turn, and who asks again and again would keep it without end."""
        if account.call is None or account.call.done():
            account.call = asyncio.create_task(self._call(account))
        return account.call

    async def _call(self, account: _Account) -> None:
        self._calls += 1
        wanted = max(lot_of(account.limit), account.waiting)
        try:
            async with asyncio.timeout(RATE_LIMITER_DEADLINE_S):
                taken = await self._shared.take(account.key_id, account.limit, wanted)
        except (RedisError, OSError) as error:  # a passed deadline is a TimeoutError, which is an OSError
            self._failed_calls += 1
            self._probe_from = self._clock() + PROBE_S
            if not self._local:
                log.warning("rate limits are this replica's own for now: Redis gave no answer (%r)", error)
            self._local = True
            return
        if self._local:
            log.warning("Redis answers again; rate limits are shared")
        self._local = False
        self._keep(account, taken, wanted)

    def _keep(self, account: _Account, taken: Taken, wanted: int) -> None:
        now = self._clock()
        account.lot = taken.given  # what was left of the last lot had outlived its lease, or there was nothing left
        account.lease_ends = now + LEASE_S
        account.left = taken.left
        account.ask_from = now + pause_s(account.limit, taken.left) if taken.given < wanted else now
        account.own.drain(taken.given, now)

    def _from_own(self, account: _Account, caller: Caller) -> None:
        self._decided_locally += 1
        if not account.own.take(self._clock()):
            self._refuse(caller, account.limit, retry_after_s(account.own.limit, account.own.tokens))

    def _refuse(self, caller: Caller, limit: Limit, after_s: int) -> None:
        self._refused += 1
        raise ResourceExhaustedError(
            f"the key {caller.name!r} may make {limit.rate:g} requests a second, {limit.burst} at once; "
            f"try again in {after_s} s",
            after_s,
        )
