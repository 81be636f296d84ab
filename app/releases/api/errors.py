"""The errors that only the HTTP face of releases has; ``app.errors`` has the tree that they belong to."""

from __future__ import annotations

from app.errors import FailedPreconditionError, UnavailableError


class RegistryTriggersOffError(FailedPreconditionError):
    """The settings let nothing in the registry begin a release."""


class RedisUnavailableError(UnavailableError):
    """Redis is away."""

    def __init__(self) -> None:
        super().__init__("Redis is away: whether anything was changed is not known; read the release again")
