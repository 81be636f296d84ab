"""A further Ray node on this machine, on 127.0.0.1; the supervisor runs it in a session of its own.

``ray start`` refuses further nodes while Ray is kept on the loopback address (``envfile.LOOPBACK_RAY``).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from app.ray_internals import run_node
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
    return run_node(
        options.gcs,
        LOOPBACK,
        temp_dir=options.temp_dir,
        num_cpus=options.num_cpus,
        object_store_memory=options.object_store_memory,
        labels={label: value},
        # Of its own: a node that unpacks a job's working directory removes what lies there first, and the head's
        # workers, which share the session folder, would lose the directory that they run in.
        runtime_env_dir_name=f"runtime_resources_{value}",
        include_log_monitor=False,  # the head's reads the same session folder
    )


if __name__ == "__main__":
    raise SystemExit(main())
