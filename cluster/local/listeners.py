"""The process that listens on a port."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from cluster.local.errors import PortTakenError
from cluster.local.processes import MARKER

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that listens. ``pid`` is ``None`` where the system does not tell (another user's)."""

    pid: int | None
    command: str
    stack_id: str | None


def listener(port: int) -> Listener | None:
    """Returns the process that listens on ``port`` of this machine, or ``None``."""
    pids: set[int | None] = set()
    with contextlib.suppress(psutil.AccessDenied):  # macOS, without root
        pids = {
            each.pid
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
        }
    for pid in pids - {None}:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            process = psutil.Process(pid)
            return Listener(pid, process.name(), process.environ().get(MARKER))
    return Listener(None, "a process of another user", None) if pids or not _free(port) else None


def require_free(ports: Mapping[str, int], stack_id: str | None = None) -> None:
    """Refuse to start on a port that is taken by anyone but the stack ``stack_id``.

    ``ports`` is keyed by the option that changes each.

    Raises:
        PortTakenError: names each taken port, who holds it and the options that help.
    """
    taken = []
    for option, port in ports.items():
        if not _free(port):
            holder = listener(port)
            if holder and holder.stack_id and holder.stack_id == stack_id:
                continue
            who = f"pid {holder.pid} ({holder.command})" if holder and holder.pid else "a process of another user"
            taken.append(f"Port {port} is held by {who}; choose another with {option}")
    if taken:
        raise PortTakenError("\n".join([*taken, "or shift all ports with --port-offset N."]))


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
