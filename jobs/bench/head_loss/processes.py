"""Processes of one run, each in a session of its own with a log; they end with the run, however it ends."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import TidegateError
from jobs.bench.head_loss import keeper

POLL_S = 0.1


class ProcessError(TidegateError):
    """A process ended, failed or did not do in time what it should; the message shows its last lines."""


class Processes:
    """Starts and kills the processes of a run. A context manager; what lives at its end is killed.

    Args:
        folder: of their logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run = secrets.token_hex(6)
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # Its standard input is the pipe that ends with this process. Without the mark: it must not meet itself.
        command = [sys.executable, "-P", keeper.__file__, self._run]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._keeper is not None
        assert self._keeper.stdin is not None
        keeper.kill(self._run)
        self._keeper.stdin.close()
        self._keeper.wait(keeper.END_S)
        for process in self._started.values():
            process.wait(keeper.END_S)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start ``command``; ``name`` is for messages, its log and its end.

        Args:
            environment: all that it sees.
        """
        with self.log(name).open("ab") as log:
            self._started[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, keeper.MARK: f"{self._run}/{name}"},
                start_new_session=True,
            )

    def finish(self, name: str, command: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> str:
        """Run ``command`` to its end and return its last line.

        Raises:
            ProcessError: it ended with another code than 0, or not in time.
        """
        self.start(name, command, environment)
        try:
            code = self._started[name].wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill(name)
            raise ProcessError(f"{name} did not end within {timeout_s:g} s: {self.tail(name)}") from None
        if code:
            raise ProcessError(f"{name} ended with {code}: {self.tail(name)}")
        return self.tail(name, lines=1)

    def kill(self, name: str) -> int:
        """SIGKILL the process and all that descends from it, at once. Returns how many there were."""
        killed = keeper.kill(self._run, name)
        self._started[name].wait(keeper.END_S)
        return killed

    def ended(self, name: str) -> bool:
        """Whether the process that was started as ``name`` lives no more; what descends from it may."""
        return self._started[name].poll() is not None

    def await_true(self, holds: Callable[[], bool], what: str, timeout_s: float, *needed: str) -> None:
        """Block until ``holds()``.

        Args:
            what: for the message, such as ``the dashboard answers``.
            needed: processes without which it will never hold.

        Raises:
            ProcessError: one of ``needed`` ended before, or it took too long.
        """
        deadline = time.monotonic() + timeout_s
        while not holds():
            for name in needed:
                if self.ended(name):
                    raise ProcessError(f"{name} ended with {self._started[name].returncode}: {self.tail(name)}")
            if time.monotonic() > deadline:
                logs = "; ".join(f"{name}: {self.tail(name)}" for name in needed)
                raise ProcessError(f"not within {timeout_s:g} s: {what}; {logs}")
            time.sleep(POLL_S)

    def log(self, name: str) -> Path:
        """Where a process writes to."""
        return self._folder / f"{name}.log"

    def tail(self, name: str, lines: int = 5) -> str:
        """What it logged last."""
        logged = [line for line in self.log(name).read_text(errors="replace").splitlines() if line.strip()]
        return " | ".join(logged[-lines:]) or "it logged nothing"


def outer_environment() -> dict[str, str]:
    """This process's environment without what points to a running stack or cluster, and with this source tree."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "RAY_"))}
    root = str(Path(__file__).parents[3])
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environ.get("PYTHONPATH", "")]))
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    return environ
