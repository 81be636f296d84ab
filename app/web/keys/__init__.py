"""API keys: hashed at rest in Redis, scoped, rate limited, revocable. ``tidegate keys`` makes them.

``authenticator`` decides in memory; ``key_store`` holds the keys in Redis, and its :class:`KeyWatch` keeps a
replica's copy current. ``api_key`` is one key, ``key_listing`` what an operator sees of it.
"""

from app.web.keys.api_key import ApiKey, Limit, Scope, hash_key, mint
from app.web.keys.authenticator import Authenticator, Caller
from app.web.keys.key_store import KeyStore, KeyWatch

__all__ = ["ApiKey", "Authenticator", "Caller", "KeyStore", "KeyWatch", "Limit", "Scope", "hash_key", "mint"]
