"""Memory of the gateway's replicas over many requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobs.bench.serving.accounting import resident
from jobs.bench.serving.client import Client
from jobs.bench.serving.load import Order
from jobs.bench.serving.measure import Arm

GATEWAY_ROLE = "ray::ServeReplica:gateway:Gateway"
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident bytes of each gateway replica, by pid, after so many requests."""

    requests: int
    resident: dict[int, int]

    @property
    def largest(self) -> int:
        """Resident bytes of the largest replica."""
        return max(self.resident.values())


def watch(
    arm: Arm, connections: int, requests: int, every: int, say: Callable[[str], None]
) -> tuple[list[Sample], int]:
    """Samples before the first request and after each ``every``, and the number of requests that failed.

    Raises:
        ServerError: the gateway does not answer any more.
    """
    samples = [Sample(0, resident(arm.mark, GATEWAY_ROLE))]
    failed = 0
    with Client(arm.target, connections) as client:
        for done in range(every, requests + 1, every):
            burst = client.burst(Order(requests=every))
            failed += burst.failed
            samples.append(Sample(done, resident(arm.mark, GATEWAY_ROLE)))
            say(f"memory: {samples[-1].largest / MIB:.0f} MiB after {done:,} requests")
    return samples, failed


def growth(samples: Sequence[Sample]) -> int:
    """Bytes by which the replica that grew most is larger at the end than when a quarter of the requests was left.

    A replica that was not there at both instants is left out: its start is no growth.
    """
    last = samples[-1]
    earlier = next(sample for sample in samples if sample.requests >= last.requests * 3 / 4)
    return max(
        (last.resident[pid] - earlier.resident[pid] for pid in last.resident if pid in earlier.resident), default=0
    )
