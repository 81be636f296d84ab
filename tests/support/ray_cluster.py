"""A Ray cluster of node processes on this machine, set up as KubeRay sets up pods: a head that keeps its tables in
Redis, worker nodes that outlive it, a proxy on each."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import ProcessError, Processes

HOST = "127.0.0.1"
HEAD = "head"
START_S = 300.0
HEAD_STARTS = 3
"""Tries of a start of the head. Ray's command gives up when the raylet has not joined after 30 s, which happens on a
machine that is busy with other things; a kubelet would then start its container again, and more often than this."""
OBJECT_STORE = 256 * 1024 * 1024
REPLICA_PORTS = 1000
TEMP_DIR = "_TEST_RAY_TEMP_DIR"
"""Variable of a worker node's processes: the temp dir by which a driver connects to that node."""
RECONNECT_S = 600
"""How long a node waits for a head that is away before it ends itself: KubeRay's value; Ray's is 60."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the cluster; each node has its own proxy's, which on Kubernetes differ by the pods' addresses.

    Attributes:
        offset: added to every default port.
        replicas: first of 2,000 ports of Serve replicas.
    """

    offset: int = 1500
    replicas: int = 26_000

    @property
    def gcs(self) -> int:
        """Ray's head."""
        return 6380 + self.offset

    @property
    def dashboard(self) -> int:
        """Jobs and Serve APIs."""
        return 8265 + self.offset

    def door(self, node: int) -> int:
        """HTTP port of the proxy on a node; 0 is the head."""
        return 8000 + self.offset + node

    def environment(self, node: int, folder: Path) -> dict[str, str]:
        """Variables that keep the proxy of a node apart from those of the others.

        Args:
            folder: of the node's own.
        """
        return {
            "AUTOSCALER_METRIC_PORT": str(9140 + self.offset),
            "DASHBOARD_METRIC_PORT": str(9141 + self.offset),
            "RAY_SERVE_WORKER_PROXY_HTTP_PORT": str(self.door(node)),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(9110 + self.offset + node),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(8404 + self.offset + node),
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(8505 + self.offset),
            "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(9507 + self.offset),
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(self.replicas),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(self.replicas + REPLICA_PORTS),
            "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(self.replicas + REPLICA_PORTS),
            "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(self.replicas + 2 * REPLICA_PORTS),
        }


@dataclass(frozen=True, slots=True)
class Store:
    """The store of the head's tables: Redis or Valkey.

    Attributes:
        address: host:port.
        namespace: before every key, so that clusters and applications share a server.
    """

    address: str
    password: str
    namespace: str


class RayCluster:
    """Starts, loses and looks at the nodes.

    Args:
        folder: of the nodes' files; short, since Ray's sockets lie in it.
        environment: all that every node sees, but for what sets it apart.
        token: of Ray's authentication, as in ``environment``.
        store: None keeps the head's tables in its memory.
    """

    def __init__(
        self,
        processes: Processes,
        folder: Path,
        ports: Ports,
        environment: Mapping[str, str],
        token: str,
        store: Store | None = None,
    ) -> None:
        self._processes, self._folder, self._ports, self._store = processes, folder, ports, store
        self._environment, self._token = dict(environment), token
        self._heads = 0
        self._tried_at = 0.0
        self.head_starts = 0
        """Tries of the head's latest start."""

    @property
    def address(self) -> str:
        """The head's, host:port."""
        return f"{HOST}:{self._ports.gcs}"

    @property
    def dashboard_url(self) -> str:
        """Address of the dashboard."""
        return f"http://{HOST}:{self._ports.dashboard}"

    def client_environment(self) -> dict[str, str]:
        """Environment of a driver or a command beside the cluster."""
        found = {**self._environment, "RAY_ADDRESS": self.address, "RAY_API_SERVER_ADDRESS": self.dashboard_url}
        found.pop("RAY_SERVE_THROUGHPUT_OPTIMIZED", None)  # a node's setting: it binds a handle to one loop
        return found

    def start_head(self) -> None:
        """Start a head without CPUs, as a head pod is; the same again after its loss. Does not wait."""
        self.head_starts = 0
        self._try_head()

    def _try_head(self) -> None:
        self.head_starts += 1
        self._heads += 1
        self._tried_at = time.time()
        ports, stored, folder = self._ports, {}, self._own(f"head-{self._heads}")  # as a new pod has an empty one
        command = [
            *(sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--disable-usage-stats", "--num-cpus", "0", "--object-store-memory", str(OBJECT_STORE)),
            *("--node-ip-address", HOST, "--port", str(ports.gcs), "--temp-dir", str(folder)),
            *("--dashboard-host", HOST, "--dashboard-port", str(ports.dashboard)),
            *("--ray-client-server-port", str(10_001 + ports.offset), "--dashboard-agent-listen-port", "0"),
            *("--min-worker-port", "0", "--max-worker-port", "0"),
        ]
        if self._store is not None:
            stored = {
                "RAY_REDIS_ADDRESS": self._store.address,
                "RAY_external_storage_namespace": self._store.namespace,
            }
            command += ["--redis-password", self._store.password]
        self._processes.start(HEAD, command, self._environment | stored | ports.environment(0, folder))

    def start_worker(self, node: int, num_cpus: int) -> None:
        """Start worker node ``node`` (from 1). Does not wait."""
        folder = self._own(worker_name(node))
        command = [
            *(sys.executable, "-P", "-m", "cluster.local.ray_node", "--gcs", self.address),
            *("--temp-dir", str(folder), "--num-cpus", str(num_cpus), "--label", f"node={worker_name(node)}"),
            *("--object-store-memory", str(OBJECT_STORE)),
        ]
        environment = self._environment | self._ports.environment(node, folder) | {TEMP_DIR: str(folder)}
        self._processes.start(worker_name(node), command, environment)

    def kill_head(self) -> int:
        """SIGKILL every process of the head node at once. Returns how many there were."""
        return self._processes.kill(HEAD)

    def await_head(self) -> None:
        """Block until the dashboard answers. A head that ends meanwhile is started again, a few times.

        Raises:
            ProcessError: it does not.
        """

        def answers() -> bool:
            return bool(self._try_request("GET", "/api/version"))

        self._await(answers, "the dashboard answers")

    def await_nodes(self, count: int) -> None:
        """Block until so many nodes are alive. A head that ends meanwhile is started again, a few times; the one that
        was lost is called alive for a while by the one that read its tables, and does not count.

        Raises:
            ProcessError: they are not.
        """

        def alive() -> bool:
            found = self._try_request("GET", "/api/v0/nodes?detail=1")
            nodes = found["data"]["result"]["result"] if found else []
            alive = [node for node in nodes if node["state"] == "ALIVE"]
            lost = [node for node in alive if node["is_head_node"] and node["start_time_ms"] < 1000 * self._tried_at]
            return len(alive) - len(lost) == count

        self._await(alive, f"{count} nodes are alive")

    def _await(self, holds: Callable[[], bool], what: str) -> None:
        while True:
            try:
                return self._processes.await_true(holds, what, START_S, HEAD)
            except ProcessError:
                if self.head_starts == HEAD_STARTS or not self._processes.ended(HEAD):
                    raise
            self._processes.kill(HEAD)  # what it leaves behind holds its ports
            self._try_head()

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Ask the dashboard.

        Raises:
            httpx.HTTPError: it does not answer, or not with 2xx.
        """
        headers = {"Authorization": f"Bearer {self._token}"}
        url = f"{self.dashboard_url}{path}"
        reply = httpx.request(method, url, json=body, headers=headers, timeout=60, trust_env=False)
        return reply.raise_for_status().json() if reply.content else None

    def _try_request(self, method: str, path: str) -> Any:
        try:
            return self.request(method, path)
        except httpx.HTTPError:
            return None

    def _own(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder


def worker_name(node: int) -> str:
    """Name of a worker node's process."""
    return f"worker-{node}"


def base_environment(outer: Mapping[str, str], token: str) -> dict[str, str]:
    """Environment of all nodes, drivers and commands of the cluster."""
    return {
        **outer,
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        # Keeps Ray on 127.0.0.1: it would take the machine's outward address for it.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(RECONNECT_S),
        "RAY_raylet_start_wait_time_s": "120",
        "RAY_worker_maximum_startup_concurrency": "4",
        # Ray renames its processes over their environment, where the mark is; this makes it leave room.
        "SPT_NOENV": "1",
    }


def serve_environment() -> dict[str, str]:
    """Flags of Serve, as on a cluster."""
    return {
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_NBTHREAD": str(os.cpu_count() or 1),
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    }
