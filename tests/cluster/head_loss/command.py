"""Costs of the loss of Ray's head.

A cluster of processes on this machine, set up as KubeRay sets up pods: a head without CPUs that keeps its tables in
Redis, two worker nodes with a proxy each, the gateway, a version, a detached actor and a training run on them. The
head's processes are killed by SIGKILL under load, and it is started again. A request that one door does not answer is
asked once more at the other, as a load balancer does that checks them.

Exit code: 0 when every promise holds, 1 when not, 2 for wrong arguments.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.terminal import table
from jobs.bench.harness import Report, benchmark
from tests.cluster.head_loss.promises import broken
from tests.cluster.head_loss.scenario import HeadLoss, head_loss
from tests.support.ray_cluster import Ports


@dataclass(frozen=True, slots=True)
class Options:
    """The cluster's ports."""

    port_offset: Annotated[int, typer.Option(metavar="N", help="Of the cluster's ports.")] = 1500
    replicas_port: Annotated[int, typer.Option(metavar="PORT", help="First of its replicas' 2000 ports.")] = 26_000


def measure(options: Options, console: Console) -> Report:
    """Lose the head once."""
    found = head_loss(Ports(options.port_offset, options.replicas_port), console.print)
    calls = table("requests", "sent", "refused at a door", "failed at both", "worst ms")
    for phase, tally in found.calls.items():
        calls.add_row(phase, f"{tally.requests:,}", str(tally.refused), str(tally.failed), f"{tally.worst_ms:,.0f}")
    return Report([calls, _rest(found), *found.problems], asdict(found), broken(found))


def _rest(found: HeadLoss) -> Table:
    killed, back, end = found.steps
    before, kept = found.replicas_kept
    rows = {
        "processes killed": found.killed,
        "head away": f"{found.away_s:.1f} s",
        "tries of its start": found.head_starts,
        "from its start to the dashboard": f"{found.head_s:.1f} s",
        "from its start to a further version, deployed": f"{found.deploy_s:.1f} s",
        "replicas that ran through": f"{kept} of {before}",
        "detached actor": f"{found.witness} calls counted",
        "route table": "revision {} before, {} after".format(*found.revisions),
        "applications": ", ".join(f"{name} {state}" for name, state in found.applications.items()),
        "training": f"step {killed} at the kill, {back} at the new start, {end} at the end",
        **{f"job {name}": status for name, status in found.jobs.items()},
    }
    shown = table("measured", "")
    for name, value in rows.items():
        shown.add_row(name, str(value))
    return shown


app = benchmark(Options, measure)
