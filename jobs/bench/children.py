"""Processes that the benchmark starts: they end with it, however it ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app.errors import TidegateError

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.1
_libc = ctypes.CDLL(None)


class ServerError(TidegateError):
    """A server under test did not start or did not end well; the message says which and shows its last lines."""


class Child:
    """A running process with a log.

    Args:
        name: for messages.
        environment: all that it sees.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path | None = None
    ) -> None:
        self.name, self._log = name, log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=cwd,
                preexec_fn=die_with_parent,
            )

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Block until ``ready()``.

        Raises:
            ServerError: the process ended before, or it took too long.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self._process.poll() is not None:
                raise ServerError(f"{self.name} ended with {self._process.returncode}: {self.tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not answer within {timeout_s:g} s: {self.tail()}")
            time.sleep(_POLL_S)

    def finish(self, timeout_s: float) -> None:
        """Block until the process has ended by itself.

        Raises:
            ServerError: with another code than 0, or not in time.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.stop()
            raise ServerError(f"{self.name} did not end within {timeout_s:g} s: {self.tail()}") from None
        if code:
            raise ServerError(f"{self.name} ended with {code}: {self.tail()}")

    def stop(self, ask: int = signal.SIGTERM, grace_s: float = 20.0) -> None:
        """End it: ask, wait, kill."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(ask)
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def tail(self, lines: int = 3) -> str:
        """Returns the last lines of the log."""
        logged = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return " | ".join(logged[-lines:]) or "it logged nothing"


def die_with_parent() -> None:
    """For ``preexec_fn``: the kernel asks this process to end when the benchmark's dies, even by SIGKILL. It can be
    interrupted, also where a shell has put the benchmark into the background."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def clean_environment() -> dict[str, str]:
    """This process's environment without what points to a running stack or cluster."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "RAY_"))} | {
        "OMP_NUM_THREADS": "1"
    }


def free_port() -> int:
    """A TCP port of 127.0.0.1 without a listener now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
