"""The client of Redis or Valkey that every part of the application uses."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.settings import RedisSettings


def connect(settings: RedisSettings) -> Redis:
    """A client whose commands end within the configured deadline."""
    return Redis.from_url(
        settings.url,
        password=settings.password.get_secret_value() if settings.password else None,
        socket_timeout=settings.timeout_s,
        socket_connect_timeout=settings.timeout_s,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 1),  # one fresh connection; a caller must not wait longer than it has to
    )
