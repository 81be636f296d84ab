"""API keys: only their hash is kept."""

from __future__ import annotations

import hashlib
import hmac

from app.gateway.errors import NotAllowedError


def hash_key(key: str) -> str:
    """SHA-256 of a key, hex. Keys are random and long, so a fast hash gives nothing away."""
    return hashlib.sha256(key.encode()).hexdigest()


def require_admin(authorization: str | None, admin_key_hash: str | None) -> None:
    """Pass if ``Authorization: Bearer KEY`` carries the admin key.

    Raises:
        NotAllowedError: it does not, or the gateway was started without one.
    """
    if admin_key_hash is None:
        raise NotAllowedError("this gateway has no admin key; start it with TIDEGATE_GATEWAY_ADMIN_KEY_HASH")
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(hash_key(key.strip()), admin_key_hash):
        raise NotAllowedError("this route needs a key with the scope admin, as 'Authorization: Bearer KEY'")
