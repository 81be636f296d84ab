"""``stack.env``: addresses of the running stack and secrets that outlive it, for ``app.settings`` and the shell."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from dotenv import dotenv_values

from cluster.local.config import Ports
from cluster.local.listeners import LOOPBACK
from cluster.local.records import Desired, replace_file
from cluster.local.state import State

LOOPBACK_RAY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Keeps Ray on 127.0.0.1. Without it Ray on Linux takes the machine's outward address for 127.0.0.1, opens its
ports there, and falls when the network changes. Every process that talks to the cluster must agree, drivers too."""

ANONYMOUS = {"TIDEGATE_GATEWAY_ANONYMOUS": "predict"}
"""The gateway listens on 127.0.0.1, so a prediction needs no key unless the environment says otherwise."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets that are made at the first start and kept."""

    redis_password: str | None
    admin_key: str

    @property
    def admin_key_hash(self) -> str:
        return hashlib.sha256(self.admin_key.encode()).hexdigest()

    def variables(self) -> dict[str, str]:
        found = {
            "TIDEGATE_GATEWAY_ADMIN_KEY": self.admin_key,
            "TIDEGATE_GATEWAY_ADMIN_KEY_HASH": self.admin_key_hash,
        }
        return found | ({"TIDEGATE_REDIS_PASSWORD": self.redis_password} if self.redis_password else {})


def load_secrets(state: State, desired: Desired, environ: Mapping[str, str]) -> Secrets:
    """Returns the stack's secrets, made where missing and saved.

    An admin key in ``environ`` wins, because it wins in ``app.settings`` too. The password of an adopted Redis is
    already in the file (``save_redis_password``).
    """
    found = read(state)
    password = found.get("TIDEGATE_REDIS_PASSWORD")
    if desired.redis_url is None and not password:
        password = secrets.token_urlsafe(24)
    name = "TIDEGATE_GATEWAY_ADMIN_KEY"
    made = Secrets(password, environ.get(name) or found.get(name) or secrets.token_urlsafe(32))
    if made.variables().items() - found.items():
        write(state, found | made.variables())
    return made


def save_redis_password(state: State, password: str | None) -> None:
    """Replace the Redis password in the file; ``None`` removes it."""
    found = read(state)
    found.pop("TIDEGATE_REDIS_PASSWORD", None)
    write(state, found | ({"TIDEGATE_REDIS_PASSWORD": password} if password else {}))


def addresses(state: State, desired: Desired) -> dict[str, str]:
    """Returns the addresses of a running stack's parts as ``TIDEGATE_*`` variables."""
    ports: Ports = desired.ports
    found = {
        "TIDEGATE_STATE_DIR": str(state.root),
        "TIDEGATE_TRAINING_STORAGE": str(state.runs),
        "TIDEGATE_FEATURES_STORAGE": str(state.features),
    }
    if "redis" in desired.parts:
        found["TIDEGATE_REDIS_URL"] = desired.redis_address
    if "mlflow" in desired.parts:
        found["TIDEGATE_MLFLOW_TRACKING_URI"] = f"http://{LOOPBACK}:{ports.mlflow}"
    if "ray" in desired.parts:
        found["TIDEGATE_RAY_ADDRESS"] = f"{LOOPBACK}:{ports.gcs}"
        found["TIDEGATE_RAY_DASHBOARD_URL"] = f"http://{LOOPBACK}:{ports.dashboard}"
    if "gateway" in desired.parts:
        found["TIDEGATE_GATEWAY_URL"] = f"http://{LOOPBACK}:{ports.gateway}"
        found["TIDEGATE_GATEWAY_GRPC_URL"] = f"{LOOPBACK}:{ports.grpc}"
    return found


def ray_client(desired: Desired) -> dict[str, str]:
    """Returns the variables by which Ray's commands and a driver on this machine reach the cluster."""
    if "ray" not in desired.parts:
        return {}
    return {
        "RAY_ADDRESS": f"{LOOPBACK}:{desired.ports.gcs}",
        "RAY_API_SERVER_ADDRESS": f"http://{LOOPBACK}:{desired.ports.dashboard}",
        "RAY_AUTH_MODE": "token",
        **LOOPBACK_RAY,
    }


def publish(state: State, desired: Desired, secret: Secrets) -> None:
    """Write addresses and secrets: the stack is up."""
    anonymous = ANONYMOUS if "gateway" in desired.parts else {}
    write(state, {**addresses(state, desired), **anonymous, **secret.variables(), **ray_client(desired)})


def withdraw(state: State, *, own_redis: bool) -> None:
    """Leave the secrets only: the stack is down. The password of a Redis that is not ours goes too."""
    kept = {"TIDEGATE_GATEWAY_ADMIN_KEY", "TIDEGATE_GATEWAY_ADMIN_KEY_HASH"}
    if own_redis:
        kept.add("TIDEGATE_REDIS_PASSWORD")
    found = read(state)
    if found:
        write(state, {name: value for name, value in found.items() if name in kept})


def read(state: State) -> dict[str, str]:
    """Returns the file's variables; empty without a file."""
    if not state.env_file.is_file():
        return {}
    return {name: value for name, value in dotenv_values(state.env_file, interpolate=False).items() if value}


def write(state: State, variables: Mapping[str, str]) -> None:
    """Replace the file, mode 0600."""
    lines = ["# Written by `tidegate local`. For a shell: set -a; . stack.env; set +a"]
    for name, value in variables.items():
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"{name}='{escaped}'")
    replace_file(state.env_file, "\n".join(lines) + "\n")
