"""Stacks of the tests' own, beside any other on the machine, and nothing of them left afterwards."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from cluster.local import Ports, down
from cluster.local.listeners import listener
from tests.cluster.local.support import Cli


@pytest.fixture
def offset() -> int:
    """A port offset whose ports are free."""
    return free_offset()


def free_offset() -> int:
    for offset in random.sample(range(10_100, 15_000, 20), 100):
        ports = Ports().shifted(offset)
        if not any(listener(getattr(ports, port.name)) for port in fields(Ports)):
            return offset
    raise AssertionError("no free ports")


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose stack, if any, is ended after the test."""
    folder = tmp_path / "state"
    yield folder
    if folder.exists():
        down(folder, purge=True)


@pytest.fixture
def cli(state_dir: Path, offset: int) -> Iterator[Cli]:
    """``tidegate local`` on a state folder and ports of the test's own."""
    started: list[subprocess.Popen[str]] = []
    yield Cli(state_dir, offset, started)
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
