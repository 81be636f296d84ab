"""A gateway replica's gRPC port, shared with no other process.

Serve asks gRPC not to share ports, but with the option's value as text, which gRPC ignores (Ray 2.60,
``start_grpc_server``). Where several Ray nodes are one machine, each node hands out the same ports, and a replica of
a version could then get calls that are the gateway's. Refused, Serve tries the next port.
"""

from __future__ import annotations

from ray.serve._private.constants import DEFAULT_GRPC_SERVER_OPTIONS

_NOT_SHARED = ("grpc.so_reuseport", 0)


def share_no_port() -> None:
    """Have gRPC servers that Serve starts in this process from now on refuse a port that another one has."""
    if _NOT_SHARED not in DEFAULT_GRPC_SERVER_OPTIONS:
        DEFAULT_GRPC_SERVER_OPTIONS.insert(0, _NOT_SHARED)  # of an option given twice, gRPC takes the first
