"""The token bucket's arithmetic. Pure; the same as the script's in ``shared_buckets.py``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.web.keys.api_key import Limit

LOT_S = 0.1
"""A lot is what the rate gives in this time, so Redis is asked about ten times a second and key; seconds."""
LEASE_S = 1.0
"""A lot that has not been used by then is forgotten: rest must not add up beyond the burst; seconds."""
LOTS_IN_BURST = 4
"""A lot is no more than this part of the burst, so that one replica cannot take it all."""
WORTH_S = 0.01
"""An empty bucket is asked again when it holds what the rate gives in this time (or one token), not before."""


def lot_of(limit: Limit) -> int:
    """Tokens that a replica takes at a time; at least 1."""
    return max(1, min(math.ceil(limit.rate * LOT_S), limit.burst // LOTS_IN_BURST))


def pause_s(limit: Limit, tokens: float) -> float:
    """Time until a bucket that holds ``tokens`` is worth another call, seconds."""
    enough = max(1.0, min(lot_of(limit), limit.rate * WORTH_S))
    return max(0.0, enough - tokens) / limit.rate


def retry_after_s(limit: Limit, tokens: float) -> int:
    """Time until a bucket that holds ``tokens`` gives one, whole seconds, at least 1."""
    return max(1, math.ceil((1 - tokens) / limit.rate))


def share_of(limit: Limit, replicas: int) -> Limit:
    """One replica's share of a limit, for when it is alone; its burst is at least 1."""
    return Limit(limit.rate / replicas, max(1, limit.burst // replicas))


@dataclass(slots=True)
class Bucket:
    """A bucket in this process. Starts full.

    Attributes:
        tokens: tokens at ``at``.
        at: seconds of a monotonic clock.
    """

    limit: Limit
    tokens: float
    at: float

    @classmethod
    def full(cls, limit: Limit, now: float) -> Bucket:
        """A bucket after a rest."""
        return cls(limit, limit.burst, now)

    def take(self, now: float) -> bool:
        """Takes one token, if there is one."""
        self._fill(now)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def drain(self, tokens: int, now: float) -> None:
        """Takes out what was given elsewhere, as far as it is there."""
        self._fill(now)
        self.tokens = max(0.0, self.tokens - tokens)

    def _fill(self, now: float) -> None:
        self.tokens = min(self.limit.burst, self.tokens + max(0.0, now - self.at) * self.limit.rate)
        self.at = now
