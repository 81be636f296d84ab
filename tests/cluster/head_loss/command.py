"""``python -m jobs.bench head-loss``: what the loss of Ray's head costs.

A cluster of processes on this machine, set up as KubeRay sets up pods: a head without CPUs that keeps its tables in
Redis, two worker nodes with a proxy each, the gateway, a version, a detached actor and a training run on them. The
head's processes are killed by SIGKILL under load, and it is started again. A request that one door does not answer is
asked once more at the other, as a load balancer does that checks them.

Exit code: 0 when every promise holds, 1 when not, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rich.console import Console

from app.terminal import table
from jobs.bench.harness import Report
from tests.cluster.head_loss.promises import broken
from tests.cluster.head_loss.scenario import head_loss
from tests.support.ray_cluster import Ports


def add_options(parser: argparse.ArgumentParser) -> None:
    """The cluster's ports."""
    parser.add_argument("--port-offset", type=int, default=1500, metavar="N", help="of the cluster's ports [1500]")
    parser.add_argument(
        "--replicas-port", type=int, default=26_000, metavar="PORT", help="first of its replicas' 2000 ports [26000]"
    )


def measure(options: argparse.Namespace, console: Console) -> Report:
    """Lose the head once."""
    found = head_loss(Ports(options.port_offset, options.replicas_port), console.print)
    document = asdict(found)
    calls = table("requests", "sent", "refused at a door", "failed at both", "worst ms")
    for phase, tally in found.calls.items():
        calls.add_row(phase, f"{tally.requests:,}", str(tally.refused), str(tally.failed), f"{tally.worst_ms:,.0f}")
    rest = table("measured", "")
    for name, value in document.items():
        if name not in ("calls", "problems"):
            rest.add_row(name, f"{value:.1f}" if isinstance(value, float) else str(value))
    return Report([calls, rest, *found.problems], document, broken(found))
