"""The command line under test, and eyes on what runs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from cluster.local import PartStatus, status
from cluster.local.processes import members
from cluster.local.records import Desired, Observed
from cluster.local.state import State


@dataclass
class Cli:
    """Runs ``tidegate local VERB --state-dir ...``."""

    state_dir: Path
    offset: int
    started: list[subprocess.Popen[str]]

    def start(self, verb: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        ports = ("--port-offset", str(self.offset)) if verb == "up" and "--port-offset" not in arguments else ()
        command = [sys.executable, "-m", "jobs.cli", "local", verb, "--state-dir", str(self.state_dir)]
        process = subprocess.Popen(
            [*command, *ports, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
        self.started.append(process)
        return process

    def run(self, verb: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        process = self.start(verb, *arguments, env=env)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def up(self, *arguments: str) -> Observed:
        """``up`` that must succeed; what the supervisor reports then."""
        done = self.run("up", *arguments)
        assert done.returncode == 0, done.stderr
        return self.observed()

    def status(self) -> dict[str, PartStatus]:
        return {part.name: part for part in status(self.state_dir)}

    def observed(self) -> Observed:
        found = Observed.read(State(self.state_dir).observed_file)
        assert found is not None
        return found

    def stack_id(self) -> str:
        found = Desired.read(State(self.state_dir).desired_file)
        assert found is not None
        return found.stack_id


def eventually(holds: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Wait until ``holds()`` is truthy and return it."""
    deadline = time.monotonic() + timeout_s
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.05)
    return found


def gone(stack_id: str, timeout_s: float = 60.0) -> None:
    """Wait until no process of the stack is left."""
    eventually(lambda: not members(stack_id), timeout_s)


def family(pid: int) -> set[int]:
    """``pid`` and all that descend from it."""
    process = psutil.Process(pid)
    return {pid} | {child.pid for child in process.children(recursive=True)}
