"""The rows that all read, and how a read is timed. The standard library only: Feast's Python imports it, too."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median

PROJECT = "tidegate_bench"
VIEW = "bench"
JOIN_KEY = "entity"
FEATURES = tuple(f"f{number}" for number in range(20))
POPULATION = 1000
"""Entities 0 to 999; a read names some of them, each once."""
TTL_S = 3600
"""Every key of the benchmark leaves Redis by itself after that, also where it was killed."""

Read = Callable[[Sequence[int]], Awaitable[object]]


def values(entity: int) -> tuple[float, ...]:
    """The features of an entity: doubles with all their digits."""
    return tuple((entity * len(FEATURES) + place) / 7 for place in range(len(FEATURES)))


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn's reads.

    Attributes:
        cpu_us: CPU time of the process, microseconds a read; the server's is not in it.
        p50_us: median latency, microseconds.
    """

    cpu_us: float
    p50_us: float


async def timed(read: Read, entities: int, reads: int, seed: int) -> Turn:
    """Time some reads of so many entities, one after the other."""
    chosen = random.Random(seed)  # noqa: S311  (the same for everybody, not a secret)
    asked = [chosen.sample(range(POPULATION), entities) for _ in range(reads)]
    latencies = []
    cpu = time.process_time()
    for each in asked:
        start = time.perf_counter()
        await read(each)
        latencies.append(time.perf_counter() - start)
    cpu = time.process_time() - cpu
    return Turn(cpu / reads * 1e6, median(latencies) * 1e6)
