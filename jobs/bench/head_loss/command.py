"""``python -m jobs.bench head-loss``: what the loss of Ray's head costs.

A cluster of processes on this machine, set up as KubeRay sets up pods: a head without CPUs that keeps its tables in
Redis, two worker nodes with a proxy each, the gateway, a version, a detached actor and a training run on them. The
head's processes are killed by SIGKILL under load, and it is started again. A request that one door does not answer is
asked once more at the other, as a load balancer does that checks them.

Exit code: 0 when every promise holds, 1 when not, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jobs.bench.head_loss.processes import ProcessError
from jobs.bench.head_loss.promises import broken
from jobs.bench.head_loss.ray_cluster import Ports
from jobs.bench.head_loss.scenario import Found, head_loss


def main(argv: list[str]) -> int:
    """Run, print, write."""
    options = _parser().parse_args(argv)
    console = Console()
    if not console.is_terminal:
        console.width = 120
    load = os.getloadavg()
    try:
        found = head_loss(Ports(options.port_offset, options.replicas_port), lambda line: console.print(line))
    except ProcessError as error:
        console.print(f"not measured: {error}", style="red", markup=False)
        return 1
    console.print(_calls(found))
    console.print(_rest(found))
    for problem in found.problems:
        console.print(problem, markup=False, highlight=False)
    console.print(f"{os.cpu_count()} cores; load average before {load[0]:.1f}, after {os.getloadavg()[0]:.1f}")
    if options.json:
        machine = {"cores": os.cpu_count(), "load_before": load, "load_after": os.getloadavg()}
        options.json.write_text(json.dumps({"machine": machine, **asdict(found)}, indent=1))
    for promise in (missed := broken(found)):
        console.print(f"does not hold: {promise}", style="red", markup=False)
    return 1 if missed else 0


def _calls(found: Found) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("requests", "sent", "refused at a door", "failed at both", "worst ms"):
        table.add_column(name, justify="left" if name == "requests" else "right")
    for phase, calls in found.calls.items():
        table.add_row(phase, f"{calls.requests:,}", str(calls.refused), str(calls.failed), f"{calls.worst_ms:,.0f}")
    return table


def _rest(found: Found) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    killed, back, end = found.steps
    before, kept = found.replicas_kept
    rows = {
        "processes killed": str(found.killed),
        "head away": f"{found.away_s:.1f} s",
        "tries of its start": str(found.head_starts),
        "from its start to the dashboard": f"{found.head_s:.1f} s",
        "from its start to a further version, deployed": f"{found.deploy_s:.1f} s",
        "replicas that ran through": f"{kept} of {before}",
        "detached actor": f"{found.witness} calls counted",
        "route table": "revision {} before, {} after".format(*found.revisions),
        "applications": ", ".join(f"{name} {state}" for name, state in found.applications.items()),
        "training": f"step {killed} at the kill, {back} at the new start, {end} at the end",
        **{f"job {name}": status for name, status in found.jobs.items()},
    }
    for row in rows.items():
        table.add_row(*row)
    return table


def _parser() -> argparse.ArgumentParser:
    defaults = Ports()
    parser = argparse.ArgumentParser(
        prog="python -m jobs.bench head-loss",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port-offset", type=int, default=defaults.offset, metavar="N", help="of the cluster's ports [%(default)s]"
    )
    parser.add_argument(
        "--replicas-port",
        type=int,
        default=defaults.replicas,
        metavar="PORT",
        help="first of its replicas' 2000 ports [%(default)s]",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON, too")
    return parser
