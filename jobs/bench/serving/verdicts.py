"""Targets for the cost of the gateway's answers, beside the others in the same run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from jobs.bench.serving.measure import Cell
from jobs.bench.serving.memory import MIB, Sample, growth

DEDICATED, INLINE = "tidegate dedicated", "tidegate inline"
CACHED, LOOKED_UP = "tidegate cache hit", "tidegate with features"
HOP = "serve ingress → deployment"
PEERS = ("mlserver", "kserve")

CONNECTIONS = 64
"""The targets are set at so many."""
INLINE_MS = 0.6
DEDICATED_MS = 0.95
DEDICATED_TO_HOP = 0.5
RESIDENT_MIB = 200
GROWTH_MIB = 2
"""In the last quarter of the requests. A leak of 50 bytes a request would be 2.4 MiB over 50,000; less is what an
allocator does."""


@dataclass(frozen=True, slots=True)
class Row:
    """An arm at a number of connections: medians over the rounds, sums of the requests."""

    arm: str
    connections: int
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    requests_per_s: float
    idle_cores: float
    requests: int
    failed: int


@dataclass(frozen=True, slots=True)
class TargetResult:
    """A target and what was found."""

    name: str
    found: float
    at_most: float
    unit: str

    @property
    def is_met(self) -> bool:
        """True where the target is reached."""
        return self.found <= self.at_most


def rows(cells: Iterable[Cell]) -> list[Row]:
    """One per arm and number of connections, in the order in which they were first measured."""
    order = {(cell.arm, cell.connections): None for cell in cells}
    arms = list(dict.fromkeys(arm for arm, _ in order))
    ranked = sorted(cells, key=lambda cell: (arms.index(cell.arm), cell.connections))
    return [
        _row(arm, connections, list(those))
        for (arm, connections), those in groupby(ranked, key=lambda cell: (cell.arm, cell.connections))
    ]


def verdicts(found: Sequence[Row], memory: Sequence[Sample]) -> Iterator[TargetResult]:
    """Every target whose figures were measured."""
    cpu = {row.arm: row.cpu_ms for row in found if row.connections == CONNECTIONS}
    at = f"at {CONNECTIONS} connections"
    if INLINE in cpu:
        yield TargetResult(f"inline {at}", cpu[INLINE], INLINE_MS, "CPU-ms")
        for peer in PEERS:
            if peer in cpu:
                yield TargetResult(f"inline {at}, beside {peer}", cpu[INLINE], cpu[peer], "CPU-ms")
    if DEDICATED in cpu:
        yield TargetResult(f"dedicated {at}", cpu[DEDICATED], DEDICATED_MS, "CPU-ms")
        if HOP in cpu:
            yield TargetResult(
                f"dedicated {at}, to {HOP}", cpu[DEDICATED] / cpu[HOP], DEDICATED_TO_HOP, "of its CPU-ms"
            )
    if memory:
        requests = memory[-1].requests
        largest = max(sample.largest for sample in memory)
        yield TargetResult("a gateway replica without inline models", largest / MIB, RESIDENT_MIB, "MiB resident")
        quarter = f"growth in the last quarter of {requests:,} requests"
        yield TargetResult(quarter, growth(memory) / MIB, GROWTH_MIB, "MiB")


def _row(arm: str, connections: int, cells: list[Cell]) -> Row:
    return Row(
        arm,
        connections,
        median(cell.cpu_ms for cell in cells),
        median(cell.p50_ms for cell in cells),
        median(cell.p99_ms for cell in cells),
        median(cell.requests_per_s for cell in cells),
        median(cell.idle_cores for cell in cells),
        sum(cell.requests for cell in cells),
        sum(cell.failed for cell in cells),
    )
