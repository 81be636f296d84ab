"""Errors of a local stack; each is a sentence for the user."""

from __future__ import annotations

from app.errors import TidegateError


class StackError(TidegateError):
    """The stack cannot be started, changed or stopped as asked."""

    exit_code = 2


class PortTakenError(StackError):
    """Another process holds a port that the stack needs."""
