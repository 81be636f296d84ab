"""API keys: hashed at rest in Redis, scoped, rate limited, revocable. ``tidegate keys`` makes them.

A front asks its :class:`Door`, which decides in memory; :class:`KeyWatch` keeps the keys of a replica current.
"""

from app.web.keys.api_key import ApiKey, Limit, Scope, hash_key, mint
from app.web.keys.authenticator import Caller, Door
from app.web.keys.key_store import KeyStore, KeyWatch

__all__ = ["ApiKey", "Caller", "Door", "KeyStore", "KeyWatch", "Limit", "Scope", "hash_key", "mint"]
