"""The command of each process that the supervisor runs."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from cluster.local.envfile import Secrets
from cluster.local.listeners import LOOPBACK
from cluster.local.records import Desired, replace_file
from cluster.local.redis_choice import server_binary
from cluster.local.state import State

RAY_HEAD = "ray-head"
NODE_LABEL = "tidegate-node"
MIB = 1024 * 1024
HEAD_OBJECT_STORE = 2048 * MIB
NODE_OBJECT_STORE = 512 * MIB
"""Ray's default, 30 % of the memory for each node, would promise a laptop's memory several times over."""


@dataclass(frozen=True, slots=True)
class Program:
    """The start, the upkeep and the end of one process."""

    name: str
    argv: tuple[str, ...]
    restarted: bool
    """True where the supervisor starts it again when it dies. Ray's are not: a new head is a new, empty cluster."""
    grace_s: float
    """Time between SIGTERM and SIGKILL."""


def node_name(index: int) -> str:
    """Returns the process name of the extra Ray node ``index`` (from 0)."""
    return f"ray-node-{index + 1}"


def program(name: str, state: State, desired: Desired, secret: Secrets) -> Program:
    """Returns the program called ``name``: ``redis``, ``mlflow``, ``ray-head`` or ``ray-node-N``."""
    if name == "redis":
        return _redis(state, desired, secret)
    if name == "mlflow":
        return _mlflow(state, desired)
    if name == RAY_HEAD:
        return _ray_head(state, desired)
    return _ray_node(name, state, desired)


def _redis(state: State, desired: Desired, secret: Secrets) -> Program:
    config = state.redis / "redis.conf"  # a file, because everybody may read a command line
    settings = {
        "bind": LOOPBACK,
        "port": desired.ports.redis,
        "requirepass": secret.redis_password,
        "dir": json.dumps(str(state.redis)),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "daemonize": "no",
        "set-proc-title": "no",  # it would overwrite the environment, and our marker in it
    }
    replace_file(config, "".join(f"{name} {value}\n" for name, value in settings.items()))
    return Program("redis", (str(server_binary()), str(config)), restarted=True, grace_s=10)


def _mlflow(state: State, desired: Desired) -> Program:
    argv = (
        *(sys.executable, "-P", "-m", "mlflow", "server"),
        *("--host", LOOPBACK, "--port", str(desired.ports.mlflow), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{state.mlflow / 'mlflow.db'}"),
        *("--artifacts-destination", str(state.mlflow / "artifacts"), "--serve-artifacts"),
    )
    return Program("mlflow", argv, restarted=True, grace_s=5)


def _ray_head(state: State, desired: Desired) -> Program:
    ports = desired.ports
    argv = (
        *(sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
        *("--node-ip-address", LOOPBACK, "--port", str(ports.gcs), "--temp-dir", str(state.ray)),
        *("--dashboard-host", LOOPBACK, "--dashboard-port", str(ports.dashboard)),
        *("--ray-client-server-port", str(ports.ray_client)),
        *("--dashboard-agent-listen-port", "0", "--min-worker-port", "0", "--max-worker-port", "0"),
        *("--num-cpus", str(desired.head_cpus), "--object-store-memory", str(HEAD_OBJECT_STORE)),
    )
    return Program(RAY_HEAD, argv, restarted=False, grace_s=15)


def _ray_node(name: str, state: State, desired: Desired) -> Program:
    index = int(name.rpartition("-")[2]) - 1
    argv = (
        *(sys.executable, "-P", "-m", "cluster.local.ray_node", "--gcs", f"{LOOPBACK}:{desired.ports.gcs}"),
        *("--temp-dir", str(state.ray), "--num-cpus", str(desired.node_cpus[index])),
        *("--object-store-memory", str(NODE_OBJECT_STORE), "--label", f"{NODE_LABEL}={name}"),
    )
    return Program(name, argv, restarted=False, grace_s=15)
