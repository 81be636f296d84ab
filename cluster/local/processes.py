"""Every process of a stack, found by a marker in its environment, and their end.

Children inherit the environment, so the marker also finds what lost its parent: HAProxy after its manager was
killed, Ray's workers after their raylet. A process without the marker is never signalled; psutil compares creation
times, so a reused pid is not either.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import psutil

MARKER = "_TIDEGATE_STACK"
PART_MARKER = "_TIDEGATE_PART"
SUPERVISOR = "supervisor"
"""The part of the supervisor."""
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, OSError)


@dataclass(frozen=True, slots=True)
class Member:
    """A live process of a stack and the part that it belongs to."""

    process: psutil.Process
    part: str


def members(stack_id: str) -> list[Member]:
    """Returns all live processes of the stack but the calling one."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(*_GONE):
            environ = process.environ()
            if environ.get(MARKER) == stack_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(Member(process, environ.get(PART_MARKER, "")))
    return found


def supervisor(pid: int, stack_id: str) -> psutil.Process | None:
    """Returns the stack's supervisor, if it lives and has this pid.

    Its marks tell it from another process with the pid. Its time of creation would not: that is counted from the
    machine's start by the wall clock, and moves when the clock is set, as after a laptop's sleep.
    """
    with contextlib.suppress(*_GONE):
        process = psutil.Process(pid)
        environ = process.environ()
        same = (environ.get(MARKER), environ.get(PART_MARKER)) == (stack_id, SUPERVISOR)
        if same and alive(process):
            return process
    return None


def end_child(child: psutil.Process, stack_id: str, part: str, grace_s: float) -> None:
    """End a child of the calling process, then what is left of its part.

    It is asked first and alone, so that it can end its own children in its own order. A child needs no marker to be
    ours: its pid cannot be reused before we have waited for it.
    """
    _signal([child], psutil.Process.terminate, grace_s)
    _signal([child], psutil.Process.kill, 5.0)
    end(stack_id, {part}, grace_s=2.0)


def end(stack_id: str, parts: Collection[str] | None = None, *, grace_s: float = 5.0) -> int:
    """End the stack's processes of ``parts`` (all when ``None``): ask, wait, kill. Returns how many there were.

    Repeats until none is left, because a process may be born while its siblings are listed.

    Raises:
        TimeoutError: some outlive SIGKILL for 30 s (uninterruptible I/O).
    """

    def chosen() -> list[psutil.Process]:
        return [each.process for each in members(stack_id) if parts is None or each.part in parts]

    found = chosen()
    met = {process.pid for process in found}
    _signal(found, psutil.Process.terminate, grace_s)
    deadline = time.monotonic() + 30
    while found := chosen():
        met |= {process.pid for process in found}
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(each.pid for each in found)} do not end")
        _signal(found, psutil.Process.kill, 5.0)
    return len(met)


def _signal(processes: list[psutil.Process], send: Callable[[psutil.Process], None], wait_s: float) -> None:
    processes = [process for process in processes if alive(process)]
    for process in processes:
        with contextlib.suppress(*_GONE):
            send(process)
    deadline = time.monotonic() + wait_s
    while any(alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)


def alive(process: psutil.Process) -> bool:
    """True where it runs: the same process, not another one with its pid, and not a zombie."""
    with contextlib.suppress(*_GONE):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
