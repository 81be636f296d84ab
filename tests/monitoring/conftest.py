"""A Valkey of its own for the samples, which stop it and fill it up."""

from tests.support.valkey import redis, valkey, valkey_pid, valkey_stack

__all__ = ["redis", "valkey", "valkey_pid", "valkey_stack"]
