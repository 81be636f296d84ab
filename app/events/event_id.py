"""Ids of events: unique without asking anyone, and cheap."""

from __future__ import annotations

import itertools
import secrets


class EventIds:
    """A source of ids for one process: 64 random bits and a count. A forked process needs a source of its own."""

    def __init__(self) -> None:
        self._source = secrets.token_hex(8)
        self._count = itertools.count()

    def __call__(self) -> str:
        """The next id: 16 hex digits, a hyphen and a number in hex."""
        return f"{self._source}-{next(self._count):x}"
