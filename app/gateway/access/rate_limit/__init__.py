"""Rate limits of keys: a token bucket in Redis that all replicas share, taken from in lots ahead.

A request is decided by a counter of its own replica (``limiter``), which takes lots from ``shared_buckets``, one hash
a key in Redis; ``bucket`` is the arithmetic of both, and the bucket of a replica that has no Redis.
"""

from app.gateway.access.rate_limit.limiter import LimiterStats, RateLimiter

__all__ = ["LimiterStats", "RateLimiter"]
