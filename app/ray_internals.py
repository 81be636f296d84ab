"""Ray's private modules: all that this project uses of them, checked against Ray 2.60.

No other module imports them. Each is imported where it is used: they are heavy, and callers of one need no other.
``tests/test_ray_internals.py`` fails with the name of whatever a newer Ray lacks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from ray.serve._private.grpc_util import gRPCGenericServer
    from ray.serve.schema import DeploymentStatusOverview

    GrpcServer: TypeAlias = gRPCGenericServer

CHECKED_AGAINST = "2.60"
"""The release of Ray whose private modules these are."""
NOISY_LOGGERS: Mapping[str, Mapping[str, int]] = {
    "job submission": {
        "ray.dashboard.modules.dashboard_sdk": logging.WARNING,
        "ray.dashboard.modules.job.sdk": logging.WARNING,
        "ray._private.runtime_env.packaging": logging.WARNING,
        "ray._private.runtime_env.working_dir": logging.ERROR,  # warns of leaving out .git and .venv, as it should
    },
    "data": {
        "ray.data._internal.execution.streaming_executor": logging.WARNING,
        "ray.data._internal.progress": logging.ERROR,  # warns that its progress bars are off
    },
}
"""Level by logger, by the part of Ray that is used."""
_NOT_SHARED = ("grpc.so_reuseport", 0)

__all__ = [
    "CHECKED_AGAINST",
    "NOISY_LOGGERS",
    "draining_nodes",
    "free_resources",
    "is_lost_worker",
    "max_resources",
    "open_no_grpc_port",
    "run_node",
    "running_replicas",
    "share_no_port",
]


def open_no_grpc_port() -> None:
    """Makes Serve open no gRPC port in this process; called before its servers start, in a deployment's constructor.

    With one gRPC application HAProxy gives every call to that; with two each call must name its own in metadata
    (``haproxy_templates.py``). Serve opens a gRPC port for every application with a route and has no option against
    it, so the replica of the releases reports that gRPC is off, and the gateway remains the only one. While no
    replica of the releases runs, Serve counts the application all the same, and calls that name no application are
    not found.
    """
    from ray.serve._private import replica

    replica.is_grpc_enabled = _off  # type: ignore[assignment,attr-defined]


def _off(_: Any) -> bool:
    return False


def share_no_port() -> None:
    """Makes gRPC servers that Serve starts in this process refuse a port that another process has.

    Serve asks gRPC not to share ports, but with the option's value as text, which gRPC ignores
    (``start_grpc_server``). Where several Ray nodes are one machine, each node hands out the same ports, and a
    replica of a version could then get calls that are the gateway's. Refused, Serve tries the next port.
    """
    from ray.serve._private.constants import DEFAULT_GRPC_SERVER_OPTIONS

    if _NOT_SHARED not in DEFAULT_GRPC_SERVER_OPTIONS:
        DEFAULT_GRPC_SERVER_OPTIONS.insert(0, _NOT_SHARED)  # of an option given twice, gRPC takes the first


def running_replicas(deployment: DeploymentStatusOverview) -> int:
    """Number of replicas of a deployment that run, as ``serve.status()`` counts them by state."""
    from ray.serve._private.common import ReplicaState

    return int(deployment.replica_states.get(ReplicaState.RUNNING, 0))


def draining_nodes() -> dict[str, float]:
    """Nodes that are going to be taken away: id -> deadline, seconds since the epoch (0: none was given)."""
    from ray._private.state import state

    found: Mapping[str, int] = state.get_draining_nodes()
    return {node: deadline_ms / 1000 for node, deadline_ms in found.items()}


def free_resources() -> dict[str, dict[str, float]]:
    """Amounts of each resource that no task or actor holds, by node id."""
    from ray._private.state import available_resources_per_node

    found: dict[str, dict[str, float]] = available_resources_per_node()  # type: ignore[no-untyped-call]
    return found


def max_resources() -> dict[str, int]:
    """Amounts of each resource that the cluster's autoscaler may reach; empty without an autoscaler."""
    from ray._private.state import state

    return state.get_max_resources_from_cluster_config() or {}


def is_lost_worker(error: Exception) -> bool:
    """True where Ray Train lost a worker process, rather than its code raising."""
    from ray.exceptions import RayError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError

    return isinstance(error, (RayError, WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError))


def run_node(gcs_address: str, address: str, **parameters: Any) -> int:
    """Runs a Ray node beside the head until SIGTERM or until a process of the node dies; then returns exit code 1.

    Ray's command refuses further nodes while Ray is kept on the loopback address, so this builds the node as ``ray
    start --address --block`` does. Ray's handler of SIGTERM ends the node's processes. Ray's reaper kills the process
    group when this process dies, so it must run in a session of its own.

    Args:
        gcs_address: of the head, host:port.
        address: of this node.
        parameters: further ones of Ray's ``RayParams``.
    """
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    started = RayParams(
        gcs_address=gcs_address,
        node_ip_address=address,
        min_worker_port=0,
        max_worker_port=0,
        dashboard_agent_listen_port=0,
        **parameters,
    )
    node = Node(started, head=False, shutdown_at_exit=True, spawn_reaper=True)
    while not (dead := node.dead_processes()):  # type: ignore[no-untyped-call]
        time.sleep(0.5)
    print("ended unexpectedly:", ", ".join(name for name, _ in dead), flush=True)
    node.kill_all_processes(check_alive=False, allow_graceful=False)
    return 1
