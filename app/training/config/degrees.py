"""How many ways a run is cut: the sizes of the device mesh."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import prod

DIMENSIONS = ("pp", "dp_replicate", "dp_shard", "cp", "tp")
"""Outermost first: neighbours in rank share a node, and tensor parallelism talks most."""


@dataclass(frozen=True, slots=True)
class Degrees:
    """Degrees of parallelism; their product is the number of workers.

    Attributes:
        pp: pipeline stages' ranks; each holds one part of the layers (or two, by schedule).
        dp_replicate: data-parallel replicas that each hold all weights of their part.
        dp_shard: data-parallel ranks that share one copy of the weights (FSDP2).
        cp: ranks that share each sequence.
        tp: ranks that share each matrix.

    Raises:
        ValueError: a degree below 1.
    """

    pp: int = 1
    dp_replicate: int = 1
    dp_shard: int = 1
    cp: int = 1
    tp: int = 1

    def __post_init__(self) -> None:
        for name, size in zip(DIMENSIONS, self.sizes, strict=True):
            if size < 1:
                raise ValueError(f"{name} = {size}: accepted is 1 or more")

    @property
    def sizes(self) -> tuple[int, ...]:
        """One size for each of ``DIMENSIONS``."""
        return astuple(self)

    @property
    def workers(self) -> int:
        """Processes in all."""
        return prod(self.sizes)

    @property
    def dp(self) -> int:
        """Ranks that see different rows."""
        return self.dp_replicate * self.dp_shard

    def __str__(self) -> str:
        named = [f"{name}={size}" for name, size in zip(DIMENSIONS, self.sizes, strict=True) if size > 1]
        return " × ".join(named) or "one process"
