"""One cell of the table: an arm at a number of connections, with what its server spends while idle taken off."""

from __future__ import annotations

import time
from dataclasses import dataclass

from jobs.bench.serving.accounting import Meter
from jobs.bench.serving.client import Client
from jobs.bench.serving.load import Order
from jobs.bench.serving.v2_request import Target

SETTLE_S = 0.5
"""What follows a reply off its path (events, metrics) belongs to it: the clock is read so long after the last one."""
_WARM_S = 1.0


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to an answer.

    Attributes:
        name: its row in the table.
        mark: of the processes that take part.
        detail: what it is, for the reader.
    """

    name: str
    target: Target
    mark: str
    detail: str


@dataclass(frozen=True, slots=True)
class Cell:
    """The figures of one arm at one number of connections in one turn.

    Attributes:
        cpu_ms: CPU milliseconds per request of all processes together, above idle.
        idle_cores: CPU seconds per second of the same processes just before, without requests.
        by_role: ``cpu_ms`` by role of the process; the idle share of each taken off.
        problems: what the first failures were.
    """

    arm: str
    connections: int
    round: int
    requests: int
    failed: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    idle_cores: float
    by_role: dict[str, float]
    problems: tuple[str, ...] = ()


def measure_arm(arm: Arm, connections: int, turn: int, order: Order, idle_s: float) -> Cell:
    """Connect, warm up, measure idle, then the burst.

    Raises:
        ServerError: the server does not answer any more.
    """
    meter = Meter(arm.mark)
    with Client(arm.target, connections) as client:
        client.burst(Order(seconds=_WARM_S))
        time.sleep(SETTLE_S)
        began, before = time.monotonic(), meter.read()
        time.sleep(idle_s)
        idle_ended, idle = time.monotonic(), meter.read()
        burst = client.burst(order, look=meter.read)
        time.sleep(SETTLE_S)
        ended, after = time.monotonic(), meter.read()
    idle_rate = {name: seconds / (idle_ended - began) for name, seconds in idle.since(before).items()}
    spent = after.since(idle)
    busy_s = ended - idle_ended
    answered = max(burst.requests, 1)
    by_role = {
        name: (seconds - idle_rate.get(name, 0.0) * busy_s) / answered * 1e3 for name, seconds in spent.items()
    }
    return Cell(
        arm=arm.name,
        connections=connections,
        round=turn,
        requests=burst.requests,
        failed=burst.failed,
        requests_per_s=burst.requests / burst.seconds,
        p50_ms=burst.p50_ms,
        p99_ms=burst.p99_ms,
        cpu_ms=sum(by_role.values()),
        idle_cores=sum(idle_rate.values()),
        by_role={name: ms for name, ms in sorted(by_role.items(), key=lambda each: -each[1]) if abs(ms) > 1e-3},
        problems=burst.problems,
    )
