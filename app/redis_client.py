"""The client of Redis or Valkey that every part of the application uses."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

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


# The server is the reason, not the record: it cannot save, or is not done with something else. So are all errors that
# redis-py has a class for: the server is full, is starting, is not the one to write to.
_TEMPORARY = ("MISCONF", "NOREPLICAS", "BUSY")


def is_temporary(error: Exception) -> bool:
    """True where a command that failed so may be taken later: the server is the reason, not the command."""
    return type(error) is not ResponseError or str(error).startswith(_TEMPORARY)
