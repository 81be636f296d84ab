"""One more Ray node on this machine, on 127.0.0.1: what ``ray start --address --block`` is elsewhere.

Ray's command refuses further nodes while Ray is kept on the loopback address (``envfile.LOOPBACK_RAY``), so this
builds the node as the command does. Run by the supervisor, in a session of its own: Ray's reaper kills the process
group when this process dies.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from ray._private.node import Node
from ray._private.parameter import RayParams

from cluster.local.listeners import LOOPBACK


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM (Ray's handler ends the node's processes) or until a process of the node dies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gcs", required=True, help="address of the head, host:port")
    parser.add_argument("--temp-dir", required=True, help="the head's temp dir")
    parser.add_argument("--num-cpus", type=int, required=True, help="logical CPUs")
    parser.add_argument("--object-store-memory", type=int, required=True, help="bytes")
    parser.add_argument("--label", required=True, help="name=value")
    options = parser.parse_args(argv)
    label, _, value = options.label.partition("=")
    parameters = RayParams(
        gcs_address=options.gcs,
        node_ip_address=LOOPBACK,
        temp_dir=options.temp_dir,
        num_cpus=options.num_cpus,
        object_store_memory=options.object_store_memory,
        labels={label: value},
        min_worker_port=0,
        max_worker_port=0,
        dashboard_agent_listen_port=0,
        # Of its own: a node that unpacks a job's working directory removes what lies there first, and the head's
        # workers, which share the session folder, would lose the directory that they run in.
        runtime_env_dir_name=f"runtime_resources_{value}",
        include_log_monitor=False,  # type: ignore[arg-type]  # the head's reads the same session folder
    )
    node = Node(parameters, head=False, shutdown_at_exit=True, spawn_reaper=True)
    while not (dead := node.dead_processes()):  # type: ignore[no-untyped-call]
        time.sleep(0.5)
    print("ended unexpectedly:", ", ".join(name for name, _ in dead), flush=True)
    node.kill_all_processes(check_alive=False, allow_graceful=False)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
