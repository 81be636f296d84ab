"""End a stack; its data stays unless purged."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import psutil

from cluster.local import processes
from cluster.local.records import Desired, Observed
from cluster.local.reporter import Reporter
from cluster.local.state import SIGN, State
from cluster.local.teardown import finish

GRACE_S = 60.0


def down(state_dir: Path, *, purge: bool = False, reporter: Reporter | None = None) -> bool:
    """End the stack of ``state_dir`` with every process it has left anywhere. Returns whether there was one.

    The supervisor ends its children in order (SIGTERM, deadlines, SIGKILL); after 60 s it is killed, and whatever
    carries the stack's marker with it. Works on a stack that is just starting, too. ``purge`` removes the folder.

    Raises:
        StackError: ``purge`` of a folder that is not ours.
    """
    reporter = reporter or Reporter()
    state = State(Path(os.path.abspath(state_dir)))  # noqa: PTH100  (keeps links)
    if not (state.root / SIGN).exists():
        if purge and state.root.exists():
            state.purge()  # says why not
        return False
    found = _end_supervisor(state, reporter)
    with state.lock(reporter.note):
        found |= _end_supervisor(state, reporter)  # one that started while we waited
        desired = Desired.read(state.desired_file)
        if desired is not None:
            left = finish(state, desired.stack_id)
            found |= left > 0
        if purge:
            state.purge()
    return found


def _end_supervisor(state: State, reporter: Reporter) -> bool:
    observed = Observed.read(state.observed_file)
    process = processes.supervisor(observed.pid, observed.stack_id) if observed else None
    if observed is None or process is None:
        return False
    reporter.note(f"ending {', '.join(sorted(observed.children)) or 'the stack'} (supervisor pid {process.pid})")
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        deadline = time.monotonic() + GRACE_S
        while processes.alive(process):
            if time.monotonic() > deadline:
                reporter.note(f"it does not end within {GRACE_S:g} s and is killed")
                process.kill()
                break
            time.sleep(0.1)
    return True
