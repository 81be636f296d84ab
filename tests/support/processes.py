"""Processes of one run, each in a session of its own with a log; they end with the run, however it ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from app.errors import TidegateError

MARK = "_TEST_PROCESS"
"""Variable that every process of a run carries, ``RUN/NAME``: children inherit it, so it also finds those that lost
their parent, such as HAProxy and Ray's workers."""
POLL_S = 0.1
END_S = 30.0
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, OSError)
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class ProcessError(TidegateError):
    """A process ended, failed or was late; the message shows its last lines."""


class Processes:
    """Starts and kills the processes of a run. A context manager; what lives at its end is killed.

    Args:
        folder: of their logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run = secrets.token_hex(6)
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill(None)
        for process in self._started.values():
            process.wait(END_S)

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
                env={**environment, MARK: f"{self._run}/{name}"},
                start_new_session=True,
                preexec_fn=_die_with_parent,
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
        killed = self._kill(name)
        self._started[name].wait(END_S)
        return killed

    def ended(self, name: str) -> bool:
        """True where the process that was started as ``name`` lives no more; what descends from it may."""
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

    def _members(self, name: str | None) -> list[psutil.Process]:
        """The live processes that descend from what was started as ``name``, or all of the run."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(*_GONE):
                mark = process.environ().get(MARK, "")
                own = mark == f"{self._run}/{name}" if name is not None else mark.startswith(f"{self._run}/")
                if own and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _kill(self, name: str | None) -> int:
        """SIGKILL them, again until none is left: one may be born while its siblings are listed."""
        met = set()
        deadline = time.monotonic() + END_S
        while found := self._members(name):
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes {sorted(each.pid for each in found)} do not end")
            met |= {process.pid for process in found}
            for process in found:
                with contextlib.suppress(*_GONE):
                    process.kill()
            psutil.wait_procs(found, timeout=0.5)
        return len(met)

    def log(self, name: str) -> Path:
        """Returns the log file of a process."""
        return self._folder / f"{name}.log"

    def tail(self, name: str, lines: int = 5) -> str:
        """Returns the last lines that a process logged."""
        logged = [line for line in self.log(name).read_text(errors="replace").splitlines() if line.strip()]
        return " | ".join(logged[-lines:]) or "it logged nothing"


def _die_with_parent() -> None:
    """The kernel ends this process when the one that started it dies, even by SIGKILL."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def outer_environment() -> dict[str, str]:
    """This process's environment without what points to a running stack or cluster, and with this source tree."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "RAY_"))}
    root = str(Path(__file__).parents[2])
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environ.get("PYTHONPATH", "")]))
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    return environ
