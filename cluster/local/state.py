"""The state folder: its files, its lock and its removal."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.stack_environment import STACK_FILE
from cluster.local import run_folder
from cluster.local.errors import StackError

OURS = frozenset(
    {STACK_FILE, "stack.json", "supervisor.json", "lock", "logs", "redis", "mlflow", "runs", "features", "run"}
)
SIGN = ".tidegate-state"
LOG_BYTES = 5_000_000
LOCK_WAIT_S = 300.0


@dataclass(frozen=True, slots=True)
class State:
    """Paths under one state folder.

    ``redis``, ``mlflow`` and ``runs`` hold data and survive ``down``; ``run`` holds Ray's sessions and HAProxy's
    files, and is a link to a short folder where the path is too long for a Unix socket.
    """

    root: Path

    @property
    def env_file(self) -> Path:
        return self.root / STACK_FILE

    @property
    def desired_file(self) -> Path:
        return self.root / "stack.json"

    @property
    def observed_file(self) -> Path:
        return self.root / "supervisor.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def features(self) -> Path:
        return self.root / "features"

    @property
    def run(self) -> Path:
        """Returns the short-lived files' folder by its real, short path."""
        return (self.root / "run").resolve()

    @property
    def ray(self) -> Path:
        return self.run / "ray"

    @property
    def haproxy(self) -> Path:
        return self.run / "h"

    def claim(self) -> None:
        """Make the folder itself ours, private to this user.

        Raises:
            StackError: the folder holds something that is not ours.
        """
        if self.root.is_dir() and not (self.root / SIGN).exists():
            foreign = sorted(each.name for each in self.root.iterdir() if each.name not in OURS)
            if foreign:
                raise StackError(
                    f"{self.root} is no state folder of Tidegate: it holds {', '.join(foreign[:3])}. "
                    "Choose an empty or new folder with --state-dir."
                )
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.root / SIGN).touch()

    def create(self) -> None:
        """Make the folders inside. Only under the lock."""
        for folder in (self.logs, self.redis, self.mlflow, self.runs):
            folder.mkdir(mode=0o700, exist_ok=True)
        run_folder.create(self.root / "run")
        for folder in (self.ray, self.haproxy):
            folder.mkdir(mode=0o700, exist_ok=True)

    def prune_sessions(self, keep: int = 2) -> None:
        """Remove the logs and packages of Ray sessions before the last ``keep``. Only while Ray is down."""
        sessions = sorted(each for each in self.ray.glob("session_2*") if each.is_dir())
        for session in sessions[: max(len(sessions) - keep, 0)]:
            shutil.rmtree(session, ignore_errors=True)

    def log(self, name: str) -> Path:
        """Returns the log file of process ``name``; a large one is set aside first."""
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path

    def log_tail(self, name: str, lines: int = 12) -> str:
        """Returns the last lines that ``name`` logged."""
        path = self.logs / f"{name}.log"
        if not path.exists():
            return ""
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    @contextmanager
    def lock(self, waiting: Callable[[str], None]) -> Iterator[None]:
        """Holds the folder for one ``up`` or ``down``; the kernel frees the lock of a killed process.

        Raises:
            StackError: another holds it for longer than five minutes.
        """
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline, told = time.monotonic() + LOCK_WAIT_S, False
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    holder = os.pread(descriptor, 20, 0).decode() or "unknown"
                    if not told:
                        waiting(f"waiting for another up or down on {self.root} (pid {holder})")
                        told = True
                    if time.monotonic() > deadline:
                        raise StackError(f"pid {holder} keeps {self.root} locked; end it first.") from None
                    time.sleep(0.1)
            if not (self.root / "lock").exists():  # the holder before us has purged
                raise StackError(f"{self.root} was removed meanwhile; try again.")
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def purge(self) -> None:
        """Remove the folder and what it links to.

        Raises:
            StackError: it is not a state folder of ours.
        """
        if not (self.root / SIGN).exists():
            raise StackError(f"{self.root} is no state folder of Tidegate; nothing was removed.")
        run_folder.remove(self.root / "run")
        shutil.rmtree(self.root)
