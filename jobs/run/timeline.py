"""The weights over time, and how they are drawn. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LEVELS = "▁▂▃▄▅▆▇█"
"""A share from above 0 to 1, in eighths."""
NONE = "·"
"""Weight 0, or not deployed."""


@dataclass(slots=True)
class Timeline:
    """Weights wanted, each from its instant on (seconds since the epoch), in their order."""

    changes: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)

    def add(self, at: float, weights: Mapping[str, float]) -> None:
        """Other weights from ``at`` on; the same ones change nothing."""
        if not self.changes or dict(self.changes[-1][1]) != dict(weights):
            self.changes.append((at, dict(weights)))

    def at(self, instant: float) -> Mapping[str, float]:
        """The weights in force at an instant; empty before the first."""
        found: Mapping[str, float] = {}
        for since, weights in self.changes:
            if since > instant:
                break
            found = weights
        return found

    def line(self, version: str, now: float, width: int) -> str:
        """A version's weight from the first change until ``now``, one character for each part of that time."""
        if not self.changes:
            return ""
        first = self.changes[0][0]
        part = max(now - first, 0.001) / width
        return "".join(level(self.at(first + (place + 0.5) * part).get(version, 0.0)) for place in range(width))


def level(share: float) -> str:
    """One share as one character."""
    return NONE if share <= 0 else LEVELS[min(int(share * len(LEVELS)), len(LEVELS) - 1)]
