"""The detached process that owns a stack's processes.

It runs what ``stack.json`` asks for, starts Redis and MLflow again when they die, and reports in
``supervisor.json``. Standard input is a pipe from ``up``: until that has written ``release``, its end is the
stack's end, so a killed ``up`` leaves nothing behind. SIGTERM ends the stack in order.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from cluster.local import envfile, processes, reaper
from cluster.local.backoff import restart_delay
from cluster.local.environment import child_environment
from cluster.local.launch import HEALTHY, RELEASE
from cluster.local.programs import Program, program
from cluster.local.records import Child, Desired, Observed, Phase
from cluster.local.state import State
from cluster.local.teardown import finish

TICK_S = 0.5
STOP_ORDER = ("ray", "mlflow", "redis")


@dataclass(slots=True)
class _Run:
    """A program with its process."""

    program: Program
    popen: subprocess.Popen[bytes]
    record: Child
    deaths: list[float] = field(default_factory=list)
    again_at: float = 0.0


class Supervisor:
    """The owner of one stack's children, in one thread."""

    def __init__(self, state: State, desired: Desired, launcher: int) -> None:
        self._state = state
        self._desired = desired
        self._secrets = envfile.load_secrets(state, desired, {})
        self._launcher: int | None = launcher
        self._run = state.run
        self._phase: Phase = "starting"
        self._runs: dict[str, _Run] = {}
        self._wakeup, self._wakeup_writer = os.pipe()
        self._stopping = False

    def run(self) -> None:
        """Run until told to stop, then end everything."""
        self._reaper = reaper.spawn(self._state, self._desired.stack_id)
        self._watch_signals()
        _say(f"stack {self._desired.stack_id} in {self._state.root}")
        self._report()
        try:
            while not self._stopping:
                self._reconcile()
                self._wait()
        finally:
            self._stop()

    def _watch_signals(self) -> None:
        os.set_blocking(self._wakeup_writer, False)
        signal.set_wakeup_fd(self._wakeup_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._ask_to_stop("a signal"))

    def _ask_to_stop(self, why: str) -> None:
        if not self._stopping:
            _say(f"stopping: {why}")
        self._stopping = True

    def _wait(self) -> None:
        watched = [self._wakeup] + ([self._launcher] if self._launcher is not None else [])
        ready, _, _ = select.select(watched, [], [], TICK_S)
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
        if self._launcher in ready:
            self._hear_launcher(self._launcher)

    def _hear_launcher(self, pipe: int) -> None:
        heard = os.read(pipe, 4096)
        if HEALTHY in heard or RELEASE in heard:
            self._phase = "running"
            self._report()
        if RELEASE in heard:
            os.close(pipe)
            self._launcher = None
        elif not heard:
            self._ask_to_stop("its launcher has gone")

    def _reconcile(self) -> None:
        """Bring the children to what ``stack.json`` asks for."""
        desired = Desired.read(self._state.desired_file)
        if desired is None or desired.stack_id != self._desired.stack_id:
            self._ask_to_stop("its state folder has gone")
            return
        self._desired = desired
        changed = False
        for name, run in self._runs.items():
            changed |= self._look_after(name, run)
        for name, attempt in desired.children.items():
            known = self._runs.get(name)
            if known is None or (known.record.state == "failed" and attempt > known.record.attempt):
                self._start(name, attempt)
                changed = True
        if not self._reaper.alive():
            self._reaper = reaper.spawn(self._state, desired.stack_id)
        if changed:
            self._report()

    def _look_after(self, name: str, run: _Run) -> bool:
        if run.record.state == "running":
            code = run.popen.poll()
            if code is None:
                return False
            reason = f"ended with status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
            run.deaths.append(time.monotonic())
            delay = restart_delay(run.deaths, time.monotonic()) if run.program.restarted else None
            run.again_at = time.monotonic() + (delay or 0.0)
            _say(f"{name} {reason}; " + ("given up" if delay is None else f"again in {delay:g} s"))
            run.record = replace(run.record, state="failed" if delay is None else "waiting", reason=reason)
            # Its orphans would hold its ports and keep answering for it.
            processes.end(self._desired.stack_id, {name}, grace_s=1.0)
            return True
        if run.record.state == "waiting" and time.monotonic() >= run.again_at:
            self._start(name, run.record.attempt, restarts=run.record.restarts + 1, deaths=run.deaths)
            return True
        return False

    def _start(self, name: str, attempt: int, restarts: int = 0, deaths: list[float] | None = None) -> None:
        started = program(name, self._state, self._desired, self._secrets)
        environ = child_environment(name, self._state, self._desired, self._secrets, os.environ)
        with self._state.log(name).open("ab") as log:
            popen = subprocess.Popen(
                started.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environ,
                start_new_session=True,  # a Ctrl-C at the terminal is the launcher's; Ray kills its own group
            )
        _say(f"{name} started, pid {popen.pid}")
        record = Child(popen.pid, time.time(), attempt, restarts=restarts)
        self._runs[name] = _Run(started, popen, record, deaths or [])

    def _report(self) -> None:
        children = {name: run.record for name, run in self._runs.items()}
        observed = Observed(self._desired.stack_id, os.getpid(), self._phase, children)
        with contextlib.suppress(FileNotFoundError):  # the folder has gone
            observed.write(self._state.observed_file)

    def _stop(self) -> None:
        """End the children, those first that use the others; the reaper keeps watch until the last has gone."""
        self._phase = "stopping"
        self._report()
        for kind in STOP_ORDER:
            names = {name for name in self._runs if name.startswith(kind)}
            for name in sorted(names, reverse=True):  # Ray's extra nodes before its head
                run = self._runs[name]
                if run.popen.poll() is None:
                    child = psutil.Process(run.popen.pid)
                    processes.end_child(child, self._desired.stack_id, name, run.program.grace_s)
                else:
                    processes.end(self._desired.stack_id, {name})
        _say("stopped")
        self._reaper.dismiss()
        finish(self._state, self._desired.stack_id)
        if not self._state.root.exists():  # removed under us, with the link to a run folder elsewhere
            shutil.rmtree(self._run, ignore_errors=True)


def _say(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the supervisor of the stack described in the state folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    state = State(parser.parse_args(argv).state_dir)
    desired = Desired.read(state.desired_file)
    assert desired is not None, "up writes stack.json first"
    launcher = os.dup(sys.stdin.fileno())
    with open(os.devnull) as nothing:  # noqa: PTH123  (a device)
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    Supervisor(state, desired, launcher).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
