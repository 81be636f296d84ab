"""API keys: hashed at rest in Redis, scoped, rate limited, revocable. ``tidegate keys`` makes them.

An :class:`Authenticator` decides in memory; a :class:`KeyWatch` keeps the keys of a replica current.
"""

from app.web.keys.api_key import ApiKey, Limit, Scope, hash_key, mint
from app.web.keys.authenticator import Authenticator, Caller
from app.web.keys.key_store import KeyStore, KeyWatch

__all__ = ["ApiKey", "Authenticator", "Caller", "KeyStore", "KeyWatch", "Limit", "Scope", "hash_key", "mint"]
