"""Clocks of all workers, and the bound on their distance. Pure.

A worker's clock is the number of its steps that are part of the parameters (Ho et al. 2013, "More Effective
Distributed ML via a Stale Synchronous Parallel Parameter Server", section 2: "a worker with clock c").
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of all ranks on one server.

    Attributes:
        done: by rank, how many of its steps this server has applied.
        bound: a worker may begin step c when the slowest clock is at least c - bound; 0 is bulk-synchronous, None
            asynchronous.
    """

    done: tuple[int, ...]
    bound: int | None

    @property
    def slowest(self) -> int:
        """The smallest clock: steps that every rank has contributed to."""
        return min(self.done)

    @property
    def laggards(self) -> tuple[int, ...]:
        """The ranks with the smallest clock."""
        return tuple(rank for rank, clock in enumerate(self.done) if clock == self.slowest)

    def lead(self, step: int) -> int:
        """Steps by which a rank that computes ``step`` is ahead of the slowest: those of the slowest that
        parameters handed out now for ``step`` do not contain."""
        return step - self.slowest

    def may_begin(self, step: int) -> bool:
        """True where a worker may be given parameters to compute ``step`` with."""
        return self.bound is None or self.lead(step) <= self.bound

    def advance(self, rank: int) -> Clocks:
        """Returns the clocks after one more step of ``rank``."""
        return Clocks((*self.done[:rank], self.done[rank] + 1, *self.done[rank + 1 :]), self.bound)

    def advance_all(self) -> Clocks:
        """Returns the clocks after one more step of every rank."""
        return Clocks(tuple(clock + 1 for clock in self.done), self.bound)
