"""The choices of a caller about a local stack."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, get_args

from app.releases.model.names import IMPORT_PATH
from app.settings import get_settings

Part = Literal["redis", "mlflow", "ray", "gateway"]
ALL_PARTS: frozenset[Part] = frozenset(get_args(Part))
HIGHEST_PORT = 65535
REPLICA_PORTS = 1000


def _port(default: int, meaning: str) -> int:
    chosen: int = field(default=default, metadata={"meaning": meaning})
    return chosen


@dataclass(frozen=True, slots=True)
class Ports:
    """Every fixed port of a stack; what is not here Ray takes from the kernel, so it cannot collide.

    Two stacks on one machine differ by :meth:`shifted`. The GCS lies outside 10002-19999, which other Ray
    clusters on the machine hand to their workers, and nothing lies in the kernel's ephemeral range. The last two
    digits differ (but the gateway's and MLflow's), so that an offset of a round number meets no other stack's port.
    """

    gateway: int = _port(8000, "the gateway, HTTP: the only public port")
    grpc: int = _port(8081, "the gateway, gRPC")
    dashboard: int = _port(8265, "Ray's dashboard and its Jobs and Serve APIs")
    mlflow: int = _port(5000, "MLflow's tracking server")
    redis: int = _port(6379, "Redis or Valkey")
    gcs: int = _port(6380, "Ray's head (GCS)")
    ray_client: int = _port(10001, "Ray Client's server (cannot be turned off)")
    autoscaler_metrics: int = _port(9112, "Prometheus metrics of Ray's autoscaler")
    dashboard_metrics: int = _port(9113, "Prometheus metrics of Ray's dashboard")
    haproxy_metrics: int = _port(9110, "HAProxy's Prometheus metrics")
    haproxy_stats: int = _port(8404, "HAProxy's statistics page")
    fallback: int = _port(8505, "Serve's own proxy behind HAProxy, HTTP")
    fallback_grpc: int = _port(9507, "Serve's own proxy behind HAProxy, gRPC")
    replicas: int = _port(30000, f"first of {2 * REPLICA_PORTS} ports of Serve replicas, for HAProxy only")

    def __post_init__(self) -> None:
        seen: dict[int, str] = {}
        for name in (each.name for each in fields(self)):
            port = getattr(self, name)
            last = HIGHEST_PORT - 2 * REPLICA_PORTS if name == "replicas" else HIGHEST_PORT
            if not 1024 <= port <= last:
                raise ValueError(f"port {name}={port}: 1024 to {last} is accepted")
            if port in seen:
                raise ValueError(f"ports {seen[port]} and {name} are both {port}: each needs its own")
            seen[port] = name

    def shifted(self, offset: int) -> Ports:
        """Returns the same ports, each plus ``offset``."""
        return Ports(**{each.name: getattr(self, each.name) + offset for each in fields(self)})


def default_head_cpus() -> int:
    """Returns the logical CPUs of the head: the machine's, at least 8.

    Ray counts CPUs only to place work. Two training workers (1 each), the gateway's and the versions' replicas
    (0.1 each) and Ray Data's tasks must fit on a laptop of two cores too, where they share them in time.
    """
    return max(os.cpu_count() or 1, 8)


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """The request to :func:`cluster.local.up`.

    ``None`` means: as the running stack has it, else the default. A stack that already runs is never reduced:
    ``nodes`` and ``parts`` are what there must be at least.

    Raises:
        ValueError: a field's value is refused; the message names field, value and what is accepted.
    """

    state_dir: Path = field(default_factory=lambda: get_settings().state_dir)
    ports: Ports | None = None
    parts: frozenset[Part] = ALL_PARTS
    nodes: int | None = None
    """Ray nodes beside the head."""
    cpus_per_node: int = 2
    """Logical CPUs of each node that this call adds."""
    head_cpus: int | None = None
    gateway_import_path: str = "app.gateway.ingress:build"
    """``module:builder`` of the gateway's Serve application."""
    releases_import_path: str = IMPORT_PATH
    """The same of the releases' application, which is declared with the gateway."""
    timeout_s: float = 180.0
    """Deadline of each part's start, seconds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "state_dir", Path(os.path.abspath(self.state_dir)))  # noqa: PTH100  (keeps links)
        if not self.parts or not self.parts <= ALL_PARTS:
            raise ValueError(f"parts={sorted(self.parts)}: some of {sorted(ALL_PARTS)} are accepted")
        if "gateway" in self.parts and not {"redis", "ray"} <= self.parts:
            raise ValueError(f"parts={sorted(self.parts)}: the gateway needs redis and ray beside it")
        if self.nodes and "ray" not in self.parts:
            raise ValueError(f"nodes={self.nodes}: nodes need the part ray")
        for name in ("nodes", "cpus_per_node", "head_cpus"):
            value = getattr(self, name)
            least = 0 if name == "nodes" else 1
            if value is not None and value < least:
                raise ValueError(f"{name}={value}: {least} or more is accepted")
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s={self.timeout_s}: more than 0 seconds is accepted")

    def with_ports(self, offset: int, **chosen: int) -> LocalConfig:
        """Returns this configuration with the default ports shifted by ``offset`` and some set by name."""
        return replace(self, ports=replace(Ports().shifted(offset), **chosen))
