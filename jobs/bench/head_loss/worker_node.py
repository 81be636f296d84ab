"""A Ray node beside the head, on 127.0.0.1: what ``ray start --address --block`` is elsewhere.

Ray's command refuses further nodes while Ray is kept on the loopback address, so this builds the node as the command
does. Ray's reaper kills the process group when this process dies, so it runs in a session of its own.
"""

from __future__ import annotations

import argparse
import sys
import time

from ray._private.node import Node
from ray._private.parameter import RayParams


def main(argv: list[str]) -> int:
    """Run until SIGTERM (Ray's handler ends the node's processes) or until a process of the node dies."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.head_loss.worker_node", description=__doc__)
    parser.add_argument("--gcs", required=True, help="address of the head, host:port")
    parser.add_argument("--temp-dir", required=True, help="a folder of the node's own, as a pod has")
    parser.add_argument("--num-cpus", type=int, required=True, help="logical CPUs")
    parser.add_argument("--object-store-memory", type=int, required=True, help="bytes")
    options = parser.parse_args(argv)
    parameters = RayParams(
        gcs_address=options.gcs,
        node_ip_address="127.0.0.1",
        temp_dir=options.temp_dir,
        num_cpus=options.num_cpus,
        object_store_memory=options.object_store_memory,
        min_worker_port=0,
        max_worker_port=0,
        dashboard_agent_listen_port=0,
    )
    node = Node(parameters, head=False, shutdown_at_exit=True, spawn_reaper=True)
    while not (dead := node.dead_processes()):  # type: ignore[no-untyped-call]
        time.sleep(0.5)
    print("ended unexpectedly:", ", ".join(name for name, _ in dead), flush=True)
    node.kill_all_processes(check_alive=False, allow_graceful=False)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
