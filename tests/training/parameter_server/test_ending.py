"""Processes end whatever fails before or beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray

from app.training.config.schedule import BatchPlan
from app.training.parameter_server import train
from app.training.parameter_server.actors import ServerLostError, end_processes
from app.training.parameter_server.config import ParameterServerConfig
from app.training.parameter_server.failures import ParameterServerError
from app.training.parameter_server.job import Optimization, ServerJob
from app.training.shared_data import Shared
from tests.support.tiny import TinyConfig, TinyRecipe


def test_process_that_cannot_be_killed_keeps_no_other_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = []

    def kill(handle: str) -> None:
        killed.append(handle)
        if handle == "b":
            raise ValueError("no such actor")

    monkeypatch.setattr(ray, "kill", kill)
    with pytest.raises(ValueError, match="no such actor"):
        end_processes(["a", "b", "c"])
    assert sorted(killed) == ["a", "b", "c"]


class Group:
    """Stands for the servers or the workers of a run; keeps what it is asked."""

    def __init__(self, log: list[str], name: str, error: Exception | None) -> None:
        self._log, self._name, self._error = log, name, error

    def start(self, *_: Any) -> None:
        self._log.append("start")
        raise ServerLostError

    def end(self) -> None:
        self._log.append(f"end {self._name}")
        if self._error is not None:
            raise self._error


def run(tmp_path: Path) -> None:
    recipe = TinyRecipe(TinyConfig())
    optimization = Optimization(0.01, 0.1, 0.01, 1.0)
    job = ServerJob(recipe, recipe.prepare(), BatchPlan(64, 8, 1, 0), 2, optimization, 100, max_failures=0)
    train.train_with_servers(job, ParameterServerConfig(), tmp_path, print, lambda: False)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Calls of the groups, in a process without Ray."""
    asked: list[str] = []
    monkeypatch.setattr(ray, "put", lambda value: value)
    monkeypatch.setattr(Shared, "put", lambda data: data)
    monkeypatch.setattr(train, "ServerGroup", lambda *_: Group(asked, "servers", None))
    return asked


def test_servers_end_though_the_workers_cannot_be_ended(
    log: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(train, "WorkerGroup", lambda *_: Group(log, "workers", ValueError("no such actor")))
    with pytest.raises(ValueError, match="no such actor"):
        run(tmp_path)
    assert log == ["start", "end workers", "end servers"]


def test_servers_end_though_the_workers_cannot_be_started(
    log: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: Any) -> None:
        raise ParameterServerError("no room")

    monkeypatch.setattr(train, "WorkerGroup", refuse)
    with pytest.raises(ParameterServerError, match="no room"):
        run(tmp_path)
    assert log == ["end servers"]
