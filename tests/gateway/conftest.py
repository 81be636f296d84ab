"""A Valkey of its own for the look-up of features, which stops it."""

from tests.support.valkey import redis, valkey, valkey_pid, valkey_stack

__all__ = ["redis", "valkey", "valkey_pid", "valkey_stack"]
