"""The listener to which ``up`` and ``down`` report while they work."""

from __future__ import annotations

from collections.abc import Mapping


class Reporter:
    """A listener that ignores everything; :class:`cluster.local.report.ConsoleReporter` prints it."""

    def note(self, text: str) -> None:
        """Hear of an event in a sentence."""

    def waiting(self, parts: Mapping[str, str]) -> None:
        """Hear, on every look, of the parts that are waited for and of what is still wrong with each."""

    def ready(self, part: str, address: str, seconds: float, version: str) -> None:
        """Hear that ``part`` is healthy, ``seconds`` after its start was asked for."""
