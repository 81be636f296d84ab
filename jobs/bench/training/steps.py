"""Step times of the three loops, in turns."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import ray
from torch._C._distributed_c10d import TCPStore

from app.training.driver.job import Job
from app.training.driver.monitor import MonitorLink, start_monitor
from app.training.driver.worker_group import WorkerGroup
from app.training.shared_data import Shared
from app.training.storage.run_folder import RunFolder
from jobs.bench.children import free_port
from jobs.bench.training.arms import CONFIG, LAYOUT, WORKERS, config_of, cut
from jobs.bench.training.turns import TURN_TIMEOUT_S, TimedRecipe, Turns

ARMS = ("ray", "torchrun", "bare")


def step_times(rounds: int, steps: int, scratch: Path) -> dict[str, list[float]]:
    """Seconds of each timed step by loop: ``ray`` (the engine under Ray Train), ``torchrun`` (the engine), ``bare``.

    Raises:
        RuntimeError: a loop ended, or did not make its steps in time.
    """
    port = free_port()
    turns = Turns(port, rounds, steps)
    store = turns.store(master=True)
    times: dict[str, list[float]] = {arm: [] for arm in ARMS}
    with (
        _under_ray(turns, scratch),
        _under_torchrun("torchrun", turns, scratch),
        _under_torchrun("bare", turns, scratch),
    ):
        for turn in range(rounds):
            for arm in ARMS:
                times[arm] += _take_turn(store, arm, turn)
        for arm in ARMS:  # the step that ends the last one
            store.set(f"turn/{arm}/{rounds}", "go")
    return times


def ratio(times: dict[str, list[float]], of: str, to: str) -> float:
    """Median of the one's step times over the median of the other's."""
    return median(times[of]) / median(times[to])


def _take_turn(store: TCPStore, arm: str, turn: int) -> list[float]:
    store.set(f"turn/{arm}/{turn}", "go")
    # A loop tells its times when it comes to its next turn; that turn is not given before.
    store.wait([f"times/{arm}/{turn}"])
    return [float(each) for each in store.get(f"times/{arm}/{turn}").decode().split(",")]


@contextmanager
def _under_ray(turns: Turns, scratch: Path) -> Iterator[None]:
    recipe = TimedRecipe(CONFIG, turns, "ray")
    data = cut(recipe.prepare(), turns)
    monitor = start_monitor("bench")
    job = Job(config_of(), recipe, Shared.put(data), RunFolder(str(scratch / "run")), MonitorLink(monitor))
    group = WorkerGroup(job, LAYOUT, False, {}, "bench", TURN_TIMEOUT_S)
    try:
        yield
        if not group.wait(TURN_TIMEOUT_S) or group.failed():
            raise RuntimeError(f"the loop under Ray Train failed: {group.failed()}")
    finally:
        ray.kill(monitor)


@contextmanager
def _under_torchrun(arm: str, turns: Turns, scratch: Path) -> Iterator[None]:
    arguments = [arm, str(turns.port), str(turns.rounds), str(turns.steps), str(scratch / arm)]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(WORKERS)),
        *("-m", "jobs.bench.training.arms", *arguments),
    ]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield
            code = process.wait(timeout=TURN_TIMEOUT_S)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=60)
        if code:
            log.seek(0)
            raise RuntimeError(f"the loop {arm} failed:\n{log.read().decode(errors='replace')[-4000:]}")
