"""A Valkey of its own for the cache's tests, which stop and kill it."""

from tests.support.valkey import redis, valkey, valkey_pid, valkey_stack

__all__ = ["redis", "valkey", "valkey_pid", "valkey_stack"]
