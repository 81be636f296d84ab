"""ArmSums per arm of one metric in one tick, which may be added over gateway replicas before they are judged.

A tick (a second, say) is a stratum: base rate and weight may differ from tick to tick, within one both arms meet the
same traffic. Losses that become known late (labels) are of the tick in which they do; since requests of several
weights may meet there, they are one stratum for each weight that was in force.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

ROUNDING = 1e-9
"""By how much a sum of floats may miss its bounds, per request."""


@dataclass(frozen=True, slots=True)
class ArmSums:
    """One arm's losses in one tick.

    Attributes:
        n: requests.
        total: sum of their losses, each in [0, 1]; for a 0/1 metric the number of bad ones.
        squares: sum of their squared losses; only bounded metrics read it.

    Raises:
        ValueError: sums that no ``n`` losses in [0, 1] have.
    """

    n: int
    total: float
    squares: float = 0.0

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError(f"n {self.n}: 0 or more requests are accepted")
        for name, value in (("total", self.total), ("squares", self.squares)):
            if not -ROUNDING <= value <= self.n * (1 + ROUNDING):
                raise ValueError(
                    f"{name} {value} of {self.n} requests: 0 to {self.n} is accepted, losses are in [0, 1]"
                )

    def __add__(self, other: ArmSums) -> ArmSums:
        return ArmSums(self.n + other.n, self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True, slots=True)
class Stratum:
    """A tick in which each request was answered by one arm. Says nothing when an arm has no requests."""

    challenger: ArmSums
    champion: ArmSums

    def __add__(self, other: Stratum) -> Stratum:
        return Stratum(self.challenger + other.challenger, self.champion + other.champion)

    @property
    def empty(self) -> bool:
        """True where an arm has no requests."""
        return self.challenger.n == 0 or self.champion.n == 0


@dataclass(frozen=True, slots=True)
class Pairs:
    """A tick of mirrored traffic: both arms answered the same requests.

    Attributes:
        n: requests, each answered twice.
        challenger, champion: sums of the losses of each arm.
        squares: sum of the squared differences of the two losses of a request. Of a 0/1 metric that is the number of
            discordant pairs, those that were bad in one arm only.

    Raises:
        ValueError: sums that no ``n`` pairs of losses in [0, 1] have.
    """

    n: int
    challenger: float
    champion: float
    squares: float

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError(f"n {self.n}: 0 or more pairs are accepted")
        for name, value in (("challenger", self.challenger), ("champion", self.champion), ("squares", self.squares)):
            if not -ROUNDING <= value <= self.n * (1 + ROUNDING):
                raise ValueError(f"{name} {value} of {self.n} pairs: 0 to {self.n} is accepted, losses are in [0, 1]")
        difference = self.challenger - self.champion
        if difference**2 > self.n * self.squares + ROUNDING * max(self.n, 1) ** 2:
            least = difference**2 / self.n
            raise ValueError(
                f"squares {self.squares}: {self.n} differences that add up to {difference} have {least:g}"
            )

    def __add__(self, other: Pairs) -> Pairs:
        return Pairs(
            self.n + other.n,
            self.challenger + other.challenger,
            self.champion + other.champion,
            self.squares + other.squares,
        )

    @property
    def empty(self) -> bool:
        """True where there are no pairs."""
        return self.n == 0


Strata = Stratum | Pairs | Sequence[Stratum | Pairs]
"""A tick of one guard: one stratum, or several whose requests were not split by one weight."""


def whole(name: str, value: float) -> int:
    """A sum of a 0/1 metric as the count that it is.

    Raises:
        ValueError: it is not a whole number.
    """
    count = round(value)
    if not math.isclose(value, count, abs_tol=1e-6):
        raise ValueError(f"{name} {value}: a 0/1 metric has whole numbers of bad requests; use a bounded guard")
    return count
