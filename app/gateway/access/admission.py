"""Who may ask, and how often: the first step of every request."""

from __future__ import annotations

from app.errors import PermissionDeniedError, UnauthenticatedError
from app.gateway.access.rate_limit import RateLimiter
from app.web.keys import Caller, Door, Scope


class Admission:
    """The door and the limiter behind it."""

    def __init__(self, door: Door, limiter: RateLimiter) -> None:
        self.door = door
        self._limiter = limiter

    async def enter(self, authorization: str | None) -> Caller:
        """The caller of a prediction.

        Args:
            authorization: ``Bearer KEY``, as sent.

        Raises:
            UnauthenticatedError, PermissionDeniedError, UnavailableError: see :class:`app.web.keys.Door`.
            ResourceExhaustedError: the key's rate is used up.
        """
        caller = self.door.enter(authorization, Scope.PREDICT)
        if caller.limit is not None:
            await self._limiter.admit(caller)
        return caller

    def holds(self, authorization: str | None, scope: Scope) -> bool:
        """Whether the caller of a prediction, who has been let in, may do what ``scope`` allows, too."""
        try:
            self.door.enter(authorization, scope)
        except (UnauthenticatedError, PermissionDeniedError):
            return False
        return True
