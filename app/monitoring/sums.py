"""Sums of the losses of many requests, which add up over replicas. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Arm = Literal["challenger", "champion"]
Metric = str
"""A guard's metric (``app.monitoring.guards.GUARDS``), or a form of it. ``METRIC/pairs`` is of mirrored requests,
which both versions were asked: ``n`` counts pairs, and the loss of a pair is by how much this arm's was the larger
one (of 0/1 losses: whether it was bad in this arm only). A request is in one of the two forms, never in both. Labels
arrive late, of several weights together: ``METRIC/0.05`` holds what was predicted while the challenger's weight was
that."""


class Sums(NamedTuple):
    """One metric of one arm: number of requests, sum of their losses (each in 0 to 1), sum of the squares."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(self.n + other.n, self.total + other.total, self.squares + other.squares)


Sample = tuple[Metric, Arm, float]
"""One request's metric, arm and loss (0 to 1)."""
Tick = Mapping[Metric, Mapping[Arm, Sums]]
"""All that was measured in one second of a release, of all gateway replicas."""
