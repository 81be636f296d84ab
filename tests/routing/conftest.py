"""A Valkey of its own for the route store's tests, which kill and flush it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from app.settings import RedisSettings
from cluster.local import LocalConfig, Stack, down, status, up


@pytest.fixture(scope="module")
def valkey_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state = tmp_path_factory.mktemp("valkey") / "state"
    config = LocalConfig(state_dir=state, parts=frozenset({"redis"})).with_ports(offset=1700, replicas=28000)
    try:
        yield up(config)
    finally:
        down(state)


@pytest.fixture(scope="module")
def valkey(valkey_stack: Stack) -> RedisSettings:
    values = dotenv_values(valkey_stack.state_dir / "stack.env")
    url, password = values["TIDEGATE_REDIS_URL"], values["TIDEGATE_REDIS_PASSWORD"]
    assert url
    assert password
    return RedisSettings(url=url, password=SecretStr(password), timeout_s=0.5)


@pytest.fixture
def valkey_pid(valkey_stack: Stack) -> Callable[[], int]:
    def pid() -> int:
        found = next(part.pid for part in status(valkey_stack.state_dir) if part.name == "redis")
        assert found is not None
        return found

    return pid
