"""Authentication of callers by their API keys: decided in memory for every request, in about a microsecond."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from app.errors import PermissionDeniedError, UnauthenticatedError, UnavailableError
from app.web.keys.api_key import ApiKey, Limit, Scope, hash_key, id_in

ANONYMOUS_ID = "anonymous"
ADMIN_ID = "admin"
MAX_LENGTH = 1024
"""Longest ``Authorization`` that is hashed, characters: hashing is work, and
anybody can send one."""

_NO_HASH = "0" * 64
"""Stands in for a hash where no key has the id: the hash of no known text."""
_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request.

    Attributes:
        name: the key's name.
        key_id: the key's public part; ``anonymous`` without a key, ``admin`` with the one of the settings.
        limit: the key's rate limit; None for none.
    """

    name: str
    key_id: str
    limit: Limit | None = None


ANONYMOUS = Caller(ANONYMOUS_ID, ANONYMOUS_ID)
ADMIN = Caller(ADMIN_ID, ADMIN_ID)


class Authenticator:
    """Authenticates callers by their keys. Nothing is cached: hashing a key costs less than caching it safely would.

    A key is found by its id and compared by its hash, in constant time; an unknown id is as much work as a known
    one, so that the time of a refusal tells nothing.

    Args:
        keys: id -> key; a watch keeps it current.
        keys_read: True once they have been read; until then no key is known to be wrong.
        admin_key_hash: SHA-256 of the key of the settings, hex, which has every scope; None for no such key.
        anonymous: scopes that need no key.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        keys: Mapping[str, ApiKey],
        keys_read: Callable[[], bool],
        admin_key_hash: str | None,
        anonymous: frozenset[Scope] = frozenset(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._keys_read = keys_read
        self._admin_key_hash = admin_key_hash or _NO_HASH
        self._anonymous = anonymous
        self._clock = clock

    def authenticate(self, authorization: str | None, scope: Scope) -> Caller:
        """The caller behind ``Authorization: Bearer KEY`` (or the same text from gRPC's metadata).

        A key that is sent is checked also where none is needed.

        Raises:
            UnauthenticatedError: no key, a wrong one, or one that is revoked or has expired.
            PermissionDeniedError: a good key without the scope.
            UnavailableError: keys have not been read yet, and this is not the admin key.
        """
        if authorization is None:
            if scope in self._anonymous:
                return ANONYMOUS
            raise UnauthenticatedError(_ask_for(scope))
        text = authorization[len(_SCHEME) :].strip()
        if authorization[: len(_SCHEME)].lower() != _SCHEME or not text or len(authorization) > MAX_LENGTH:
            raise UnauthenticatedError(_ask_for(scope))
        key = self._keys.get(id_in(text))
        sent = hash_key(text)
        # Both comparisons, always: which of them is made must not depend on what is known.
        is_key = hmac.compare_digest(sent, _NO_HASH if key is None else key.hash)
        is_admin = hmac.compare_digest(sent, self._admin_key_hash)
        if is_admin:
            return ADMIN
        if key is None or not is_key:
            if not self._keys_read():
                raise UnavailableError("API keys have not been read yet; Redis does not answer")
            raise UnauthenticatedError(f"this key is not known here; {_ask_for(scope)}")
        if not key.in_force(self._clock()):
            raise UnauthenticatedError(_why_not(key))
        if not key.allows(scope):
            held = ", ".join(sorted(key.scopes))
            raise PermissionDeniedError(f"this needs the scope {scope}; the key {key.name!r} has {held}", scope)
        return Caller(key.name, key.id, key.limit)


def _ask_for(scope: Scope) -> str:
    return f"this needs a key with the scope {scope}, as 'Authorization: Bearer KEY'"


def _why_not(key: ApiKey) -> str:
    if key.revoked is not None:
        return f"the key {key.name!r} was revoked at {_instant(key.revoked)}"
    assert key.expires is not None
    return f"the key {key.name!r} expired at {_instant(key.expires)}"


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")
