"""What can go wrong with a local stack, said in a sentence for the person at the keyboard."""

from __future__ import annotations


class StackError(RuntimeError):
    """The stack cannot be started, changed or stopped as asked."""


class PortTakenError(StackError):
    """Another process holds a port that the stack needs."""
