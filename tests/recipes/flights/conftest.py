"""A Valkey of its own for the replay."""

from tests.support.valkey import redis, valkey, valkey_stack

__all__ = ["redis", "valkey", "valkey_stack"]
