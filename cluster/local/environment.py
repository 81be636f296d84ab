"""The environment of the stack's processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from app.settings import get_settings
from cluster.local.config import REPLICA_PORTS
from cluster.local.envfile import ANONYMOUS, Secrets, addresses, ray_client
from cluster.local.processes import MARKER, PART_MARKER
from cluster.local.records import Desired
from cluster.local.state import State

MESSAGE_ROOM = 64 * 1024
"""Room of a gRPC message beside the tensors of the largest accepted body, bytes: names, shapes, parameters."""


def child_environment(
    part: str, state: State, desired: Desired, secret: Secrets, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Returns the environment of a process of ``part``.

    What the caller has set is inherited (so ``TIDEGATE_GATEWAY_MIN_REPLICAS=1`` reaches the gateway) and wins
    over our tuning, but never over addresses, secrets and what keeps two stacks apart. The admin key in clear text
    stays out: processes of the cluster need its hash only.
    """
    environ = {**_tuning(), **inherited}
    environ |= addresses(state, desired) | secret.variables() | ray_client(desired) | _apart(state, desired)
    environ |= {
        MARKER: desired.stack_id,
        PART_MARKER: part,
        # Ray renames its processes over their environment, where the marker is; this makes it leave room.
        "SPT_NOENV": "1",
        # A submitted job's `python` is this environment's, as it is in a cluster's image.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)]),
    }
    environ.pop("TIDEGATE_GATEWAY_ADMIN_KEY", None)
    if not secret.redis_password:
        environ.pop("TIDEGATE_REDIS_PASSWORD", None)
    return environ


def _tuning() -> dict[str, str]:
    return {
        **ANONYMOUS,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight more processes, 1 GB, for GenAI evaluation only
        "OMP_NUM_THREADS": "1",
        "RAY_JOB_STOP_WAIT_TIME_S": "90",  # `ray job stop`: a training run writes a checkpoint first
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # 30 s at `down`, when there is nowhere to move work to
        # A deleted replica keeps answering until HAProxy has read its new configuration: here, well under a second.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        # Of requests and replies alike; Ray's default is 2 GiB.
        "RAY_SERVE_GRPC_MAX_MESSAGE_SIZE": str(get_settings().gateway.max_body_bytes + MESSAGE_ROOM),
        # One log line a request, parsed in Python (0.1 ms): the gateway counts its requests itself, and more of them.
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_NBTHREAD": str(os.cpu_count() or 1),
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "120",
        # Replicas and workers share a laptop's few cores; Ray's default (the cores) warns of every such cluster.
        "RAY_worker_maximum_startup_concurrency": "4",
    }


def _apart(state: State, desired: Desired) -> dict[str, str]:
    ports, folder = desired.ports, state.haproxy
    return {
        "AUTOSCALER_METRIC_PORT": str(ports.autoscaler_metrics),
        "DASHBOARD_METRIC_PORT": str(ports.dashboard_metrics),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.haproxy_metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.haproxy_stats),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas + REPLICA_PORTS),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(ports.replicas + REPLICA_PORTS),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(ports.replicas + 2 * REPLICA_PORTS),
    }
