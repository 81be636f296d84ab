"""API keys on FastAPI routes: the dependency that authenticates, and the scheme that the OpenAPI document names."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.web.keys import Authenticator, Caller, Scope


def bearer_scheme(description: str) -> HTTPBearer:
    """The scheme ``Authorization: Bearer KEY``."""
    return HTTPBearer(auto_error=False, description=description)


def authorization(credentials: HTTPAuthorizationCredentials | None) -> str | None:
    """The header as it was sent; None where no key was."""
    return None if credentials is None else f"{credentials.scheme} {credentials.credentials}"


def key_required(authenticator: Authenticator, scope: Scope, description: str) -> Callable[..., None]:
    """A dependency that admits callers whose key has ``scope``; :func:`caller_of` then gives the caller.

    Raises:
        UnauthenticatedError, PermissionDeniedError, UnavailableError: see :meth:`Authenticator.authenticate`.
    """
    sent = Depends(bearer_scheme(description))

    def authenticate(request: Request, credentials: HTTPAuthorizationCredentials | None = sent) -> None:
        request.state.caller = authenticator.authenticate(authorization(credentials), scope)

    return authenticate


def caller_of(request: Request) -> Caller:
    """The caller of a request that :func:`key_required` admitted."""
    caller: Caller = request.state.caller
    return caller
