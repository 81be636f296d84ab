"""API keys: hashed at rest in Redis, scoped, rate limited, revocable. ``python -m app.gateway.keys`` makes them.

A front asks its :class:`Door`, which decides in memory; :class:`KeyWatch` keeps the keys of a replica current.
"""

from app.gateway.keys.door import Caller, Door
from app.gateway.keys.key import ApiKey, Limit, Scope, hash_key, mint
from app.gateway.keys.store import KeyStore, KeyWatch

__all__ = ["ApiKey", "Caller", "Door", "KeyStore", "KeyWatch", "Limit", "Scope", "hash_key", "mint"]
