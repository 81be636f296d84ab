"""Ray's private modules: the names that are used exist, and one module alone imports them."""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.util
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.serve._private import replica
from ray.serve._private.constants import DEFAULT_GRPC_SERVER_OPTIONS
from ray.serve._private.grpc_util import start_grpc_server
from ray.serve._private.utils import is_grpc_enabled
from ray.serve.config import gRPCOptions

from app import ray_internals
from app.gateway.grpc.servicer import ADD_INFERENCE_SERVICE
from app.ray_internals import CHECKED_AGAINST, NOISY_LOGGERS, open_no_grpc_port, share_no_port

ROOT = Path(__file__).parents[1]
PRIVATE = re.compile(r"ray\.(\w+\.)*_\w+")
MODULE = Path(ray_internals.__file__)


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of every import of a file; the name is empty where the module itself is imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


USED = sorted({f"{module}:{name}" for module, name in imported(MODULE) if PRIVATE.match(module)})
USED_OF_OBJECTS = [
    "ray._private.node:Node.dead_processes",
    "ray._private.node:Node.kill_all_processes",
    "ray._private.state:GlobalState.get_draining_nodes",
    "ray._private.state:GlobalState.get_max_resources_from_cluster_config",
    "ray.serve._private.common:ReplicaState.RUNNING",
    "ray.serve._private.grpc_util:gRPCGenericServer.add_passthrough_service",
    "ray.serve._private.replica:Replica._maybe_start_direct_ingress_servers",
    "ray.serve._private.replica:is_grpc_enabled",
]


@pytest.mark.parametrize("name", [*USED, *USED_OF_OBJECTS])
def test_private_name_exists_in_the_installed_ray(name: str) -> None:
    module, _, attributes = name.partition(":")
    found: Any = importlib.import_module(module)
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            found = importlib.import_module(f"{found.__name__}.{attribute}")
        else:
            found = getattr(found, attribute)


@pytest.mark.parametrize("logger", [logger for levels in NOISY_LOGGERS.values() for logger in levels])
def test_quieted_logger_is_a_module_of_the_installed_ray(logger: str) -> None:
    assert importlib.util.find_spec(logger) is not None


def test_installed_ray_is_the_one_that_the_private_names_were_checked_against() -> None:
    assert ray.__version__.startswith(f"{CHECKED_AGAINST}.")


def test_no_other_module_imports_private_modules_of_ray() -> None:
    sources = [path for folder in ("app", "cluster", "jobs") for path in (ROOT / folder).rglob("*.py")]
    found = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in sources
        if path != MODULE
        for module, name in imported(path)
        if PRIVATE.match(f"{module}.{name}")
    ]
    assert len(sources) > 100
    assert found == []


def test_replica_asks_the_name_that_open_no_grpc_port_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "is_grpc_enabled", is_grpc_enabled)  # put back afterwards
    on = gRPCOptions(port=9000, grpc_servicer_functions=[ADD_INFERENCE_SERVICE])
    start = replica.Replica._maybe_start_direct_ingress_servers
    assert "is_grpc_enabled" in start.__code__.co_names
    asked = vars(replica)
    assert asked["is_grpc_enabled"](on)
    open_no_grpc_port()
    assert not asked["is_grpc_enabled"](on)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def grpc_options_put_back() -> Iterator[None]:
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


@pytest.mark.usefixtures("grpc_options_put_back")
async def test_grpc_port_of_another_server_is_refused(port: int) -> None:
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
