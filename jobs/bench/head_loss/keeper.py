"""The process that ends all others of a run when the run's own ends, also by SIGKILL.

``python keeper.py RUN`` with the reading end of a pipe as its standard input, which the kernel closes with the
process that holds the other end. Started by path: it needs nothing of this package, and starts at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

import psutil

MARK = "_TIDEGATE_BENCH_PROCESS"
"""Variable that every process of a run carries, ``RUN/NAME``: children inherit it, so it also finds those that lost
their parent, such as HAProxy and Ray's workers."""
END_S = 30.0
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, OSError)


def members(run: str, name: str | None = None) -> list[psutil.Process]:
    """The live processes of a run, or those that descend from what was started as ``name``; never the caller."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(*_GONE):
            mark = process.environ().get(MARK, "") if process.pid != os.getpid() else ""
            own = mark == f"{run}/{name}" if name is not None else mark.startswith(f"{run}/")
            if own and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def kill(run: str, name: str | None = None) -> int:
    """SIGKILL them all, again until none is left: one may be born while its siblings are listed. Returns how many.

    Raises:
        TimeoutError: some outlive it for 30 s (uninterruptible I/O).
    """
    met = set()
    deadline = time.monotonic() + END_S
    while found := members(run, name):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(each.pid for each in found)} do not end")
        for process in found:
            with contextlib.suppress(*_GONE):
                process.kill()
                met.add(process.pid)
        psutil.wait_procs(found, timeout=0.5)
    return len(met)


if __name__ == "__main__":
    sys.stdin.read()
    kill(sys.argv[1])
