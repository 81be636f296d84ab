"""A Ray node beside the head, on 127.0.0.1. It must run in a session of its own."""

from __future__ import annotations

import argparse
import sys

from app.ray_internals import run_node


def main(argv: list[str]) -> int:
    """Run until SIGTERM (Ray's handler ends the node's processes) or until a process of the node dies."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.head_loss.worker_node", description=__doc__)
    parser.add_argument("--gcs", required=True, help="address of the head, host:port")
    parser.add_argument("--temp-dir", required=True, help="a folder of the node's own, as a pod has")
    parser.add_argument("--num-cpus", type=int, required=True, help="logical CPUs")
    parser.add_argument("--object-store-memory", type=int, required=True, help="bytes")
    options = parser.parse_args(argv)
    return run_node(
        options.gcs,
        "127.0.0.1",
        temp_dir=options.temp_dir,
        num_cpus=options.num_cpus,
        object_store_memory=options.object_store_memory,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
