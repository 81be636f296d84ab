"""CPU time and memory of all processes of a server under test.

A process belongs to a server if it carries the server's mark in its environment: children inherit it, so those that
come while requests run are found too, and those that have lost their parent.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MARK = "_BENCH_SERVER"
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, OSError)
_SUFFIX = re.compile(r"-v(\d+)-[0-9a-f]{6}")


def marked(mark: str) -> list[psutil.Process]:
    """The live processes that carry ``mark``."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(*_GONE):
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


def role(process: psutil.Process) -> str:
    """Returns the role of a process: a Ray actor's title without what is random in it, else the program's name."""
    command = process.cmdline()
    title = command[0] if command else process.name()
    if title.startswith("ray::"):
        return _SUFFIX.sub(r"-v\1", title.split()[0])
    if "-m" in command[:4]:
        return command[command.index("-m") + 1]
    scripts = [Path(part).name for part in command[1:3] if part.endswith(".py")]
    return scripts[0] if scripts else Path(title).name


Identity = tuple[int, float]
"""Pid and creation time: a pid alone may be used again."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Role and CPU seconds so far of every process that carries the mark, or did when last looked."""

    processes: Mapping[Identity, tuple[str, float]]

    def since(self, earlier: Reading) -> dict[str, float]:
        """CPU seconds spent in between, by role as it is now: Ray renames an idle worker that it puts to use."""
        spent: dict[str, float] = {}
        for process, (name, seconds) in self.processes.items():
            _, before = earlier.processes.get(process, ("", 0.0))
            spent[name] = spent.get(name, 0.0) + seconds - before
        return spent


@dataclass(slots=True)
class Meter:
    """The CPU clock of one server.

    A process that ends keeps what it had spent when it was last looked at, so whoever measures looks often
    (:meth:`read`); what it spends between the last look and its end is lost. One that comes counts from its start.
    """

    mark: str
    _processes: dict[Identity, tuple[str, float]] = field(default_factory=dict)

    def read(self) -> Reading:
        """Look at every process."""
        for process in marked(self.mark):
            with contextlib.suppress(*_GONE):
                times = process.cpu_times()
                self._processes[process.pid, process.create_time()] = (role(process), times.user + times.system)
        return Reading(dict(self._processes))


def resident(mark: str, title: str) -> dict[int, int]:
    """Resident bytes by pid of the server's processes with this role."""
    found = {}
    for process in marked(mark):
        with contextlib.suppress(*_GONE):
            if role(process) == title:
                found[process.pid] = process.memory_info().rss
    return found
