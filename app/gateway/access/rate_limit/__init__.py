"""Rate limits of keys: a token bucket in Redis that all replicas share, taken from in lots ahead.

A request is decided by a counter of its own replica; :class:`RateLimiter` says when Redis is asked.
"""

from app.gateway.access.rate_limit.limiter import LimiterStats, RateLimiter

__all__ = ["LimiterStats", "RateLimiter"]
