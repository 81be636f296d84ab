"""Ports of Serve's gRPC servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ray.serve._private.constants import DEFAULT_GRPC_SERVER_OPTIONS
from ray.serve._private.grpc_util import start_grpc_server
from ray.serve.config import gRPCOptions

from app.gateway.grpc.own_port import share_no_port
from app.gateway.grpc.servicer import ADD_INFERENCE_SERVICE


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = list(DEFAULT_GRPC_SERVER_OPTIONS)
    yield
    DEFAULT_GRPC_SERVER_OPTIONS[:] = before


async def start(port: int) -> Any:
    """A server as Serve starts it in a replica."""
    options = gRPCOptions(port=port, grpc_servicer_functions=[ADD_INFERENCE_SERVICE], enable_reflection=False)
    _, server = await start_grpc_server(
        lambda **_: None, options, event_loop=asyncio.get_running_loop(), enable_so_reuseport=False
    )
    return server


async def test_a_port_that_another_server_has_is_refused(port: int) -> None:
    shared = await start(port)  # as any other replica's
    share_no_port()
    share_no_port()  # also a replica that is made anew in the same process
    with pytest.raises(RuntimeError, match="Failed to bind"):
        await start(port)
    await shared.stop(None)
    own = await start(port)
    with pytest.raises(RuntimeError, match="Failed to bind"):
        await start(port)
    await own.stop(None)
