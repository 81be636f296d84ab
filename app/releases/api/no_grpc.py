"""No gRPC port for the releases' replica.

With one gRPC application beside it HAProxy gives every call to that; with two each call must name its own in metadata
(Ray 2.60, ``haproxy_templates.py``). Serve opens a gRPC port for every application with a route and has no option
against it, so the replica says that gRPC is off, and the gateway remains the only one. While no replica of the
releases runs, Serve counts the application all the same, and calls that name no application are not found.
"""

from __future__ import annotations

from typing import Any

from ray.serve._private import replica


def open_no_grpc_port() -> None:
    """Have Serve open no gRPC port in this process from now on; before its servers start, so in a constructor."""
    replica.is_grpc_enabled = _off  # type: ignore[assignment,attr-defined]


def _off(_: Any) -> bool:
    return False
