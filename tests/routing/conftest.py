"""A Valkey of its own for the route store's tests, which kill and flush it."""

from tests.support.valkey import valkey, valkey_pid, valkey_stack

__all__ = ["valkey", "valkey_pid", "valkey_stack"]
