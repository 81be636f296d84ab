"""A Valkey of its own for the route store's tests, which kill and flush it."""

from tests.support.valkey import redis, valkey, valkey_pid, valkey_stack

__all__ = ["redis", "valkey", "valkey_pid", "valkey_stack"]
