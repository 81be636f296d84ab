"""Fixtures: a Valkey of its own for a folder's tests, which kill and flush it. Its conftest imports them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from app.routing.route_store import connect
from app.settings import RedisSettings
from cluster.local import LocalConfig, Stack, up
from tests.conftest import PORT_SHIFT, REPLICA_PORT_SHIFT


@pytest.fixture(scope="module")
def valkey_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state = tmp_path_factory.mktemp("valkey") / "state"
    config = LocalConfig(state_dir=state, parts=frozenset({"redis"})).with_ports(
        offset=1700 + PORT_SHIFT, replicas=24000 + REPLICA_PORT_SHIFT
    )
    stack = up(config, attached=True)
    yield stack
    stack.close()


@pytest.fixture(scope="module")
def valkey(valkey_stack: Stack) -> RedisSettings:
    environment = valkey_stack.environment
    password = SecretStr(environment["TIDEGATE_REDIS_PASSWORD"])
    return RedisSettings(url=environment["TIDEGATE_REDIS_URL"], password=password, timeout_s=0.5)


@pytest.fixture
async def redis(valkey: RedisSettings) -> AsyncIterator[Redis]:
    """A client of the emptied server."""
    client = connect(valkey)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
def valkey_pid(valkey_stack: Stack) -> Callable[[], int]:
    def pid() -> int:
        found = valkey_stack.pid("redis")
        assert found is not None
        return found

    return pid
