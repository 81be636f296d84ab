"""What ``up`` and ``down`` tell while they work."""

from __future__ import annotations

from collections.abc import Mapping


class Progress:
    """Says nothing; the command line overrides it."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def waiting(self, parts: Mapping[str, str]) -> None:
        """Called on every look: the parts waited for, with what is still wrong with each."""

    def ready(self, part: str, address: str, seconds: float, version: str) -> None:
        """``part`` is healthy, ``seconds`` after its start was asked for."""
