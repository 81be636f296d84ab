"""The process that outlives a killed supervisor by the time it takes to end the stack."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path

from cluster.local.state import State
from cluster.local.teardown import finish


@dataclass(slots=True)
class Reaper:
    """The supervisor's end of the pipe. When the supervisor dies, the kernel closes it and the reaper acts."""

    pid: int
    pipe: int

    def alive(self) -> bool:
        """True where it lives; a dead one is taken off the process table."""
        with contextlib.suppress(ChildProcessError):
            return os.waitpid(self.pid, os.WNOHANG)[0] == 0
        return False

    def dismiss(self) -> None:
        """Tell it that there is nothing left to end, and wait for it to go."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.pipe, b"done")
        os.close(self.pipe)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def spawn(state: State, stack_id: str) -> Reaper:
    """Fork the reaper. The caller must have one thread only.

    A fork and no new interpreter: it shares the supervisor's memory and inherits its marker.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid:
        os.close(read_end)
        return Reaper(pid, write_end)
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        _close_all_but(read_end)
        with contextlib.suppress(OSError):  # Linux: the name that ps shows
            Path("/proc/self/comm").write_text("tidegate-reaper")
        if os.read(read_end, 4) != b"done":
            finish(state, stack_id)
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)


def _close_all_but(kept: int) -> None:
    """Close the launcher's pipe and everything else that a process may wait on; keep standard streams."""
    os.closerange(3, kept)
    os.closerange(kept + 1, 256)
