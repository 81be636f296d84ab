"""A Valkey of its own for these tests, which stop, kill and flush it."""

from tests.support.valkey import redis, valkey, valkey_pid, valkey_stack

__all__ = ["redis", "valkey", "valkey_pid", "valkey_stack"]
