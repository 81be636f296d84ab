"""Admission of requests: authentication, then the rate limit. The first step of every request."""

from __future__ import annotations

from app.errors import PermissionDeniedError, UnauthenticatedError
from app.gateway.access.rate_limit import RateLimiter
from app.web.keys import Authenticator, Caller, Scope


class Admission:
    """Admits requests for predictions: the authenticator, and the rate limiter behind it."""

    def __init__(self, authenticator: Authenticator, limiter: RateLimiter) -> None:
        self.authenticator = authenticator
        self._limiter = limiter

    async def admit(self, authorization: str | None) -> Caller:
        """Returns the caller of a prediction.

        Args:
            authorization: ``Bearer KEY``, as sent.

        Raises:
            UnauthenticatedError, PermissionDeniedError, UnavailableError: see :class:`app.web.keys.Authenticator`.
            ResourceExhaustedError: the key's rate is used up.
        """
        caller = self.authenticator.authenticate(authorization, Scope.PREDICT)
        if caller.limit is not None:
            await self._limiter.admit(caller)
        return caller

    def is_allowed(self, authorization: str | None, scope: Scope) -> bool:
        """Reports if the caller of a prediction, once admitted, may also do what ``scope`` allows."""
        try:
            self.authenticator.authenticate(authorization, scope)
        except (UnauthenticatedError, PermissionDeniedError):
            return False
        return True
