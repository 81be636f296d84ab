"""Whatever is killed, nothing is left, and what should come back does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import redis

from cluster.local import LocalConfig, down, up
from cluster.local.envfile import read
from cluster.local.processes import members, supervisor
from cluster.local.records import Observed
from cluster.local.state import State
from tests.cluster.local.support import Cli, eventually, gone


def test_killed_launcher_leaves_nothing_of_a_start(cli: Cli, state_dir: Path) -> None:
    launcher = cli.start("up", "--parts", "redis,mlflow")
    observed_file = State(state_dir).observed_file
    eventually(lambda: (found := Observed.read(observed_file)) and "mlflow" in found.children)
    stack_id = cli.stack_id()
    launcher.kill()
    gone(stack_id)
    assert cli.status() == {}


def test_interrupted_launcher_leaves_nothing_of_a_start(cli: Cli, state_dir: Path) -> None:
    launcher = cli.start("up", "--parts", "redis,mlflow")
    eventually(State(state_dir).observed_file.exists)
    stack_id = cli.stack_id()
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(30) == 130
    assert not members(stack_id), "it has waited for the end"


def test_killed_foreground_launcher_ends_the_stack(cli: Cli) -> None:
    _, stack_id = _in_foreground(cli, signal.SIGKILL)
    gone(stack_id)


def test_interrupted_foreground_launcher_ends_the_stack(cli: Cli) -> None:
    launcher, stack_id = _in_foreground(cli, signal.SIGINT)
    assert launcher.wait(20) == 0
    assert not members(stack_id)


def _in_foreground(cli: Cli, number: signal.Signals) -> tuple[subprocess.Popen[str], str]:
    launcher = cli.start("up", "--parts", "redis", "--foreground")
    assert launcher.stdout is not None
    for line in launcher.stdout:
        if line.startswith("stop:"):
            assert "Ctrl-C" in line
            break
    stack_id = cli.stack_id()
    assert all(part.healthy for part in cli.status().values())
    launcher.send_signal(number)
    return launcher, stack_id


def test_killed_supervisor_leaves_no_process(cli: Cli) -> None:
    observed = cli.up("--parts", "redis")
    assert supervisor(observed.pid, observed.stack_id) is not None
    assert supervisor(observed.pid, "another") is None
    redis_pid = observed.children["redis"].pid
    assert supervisor(redis_pid, observed.stack_id) is None, "of the stack, but another part"
    os.kill(observed.pid, signal.SIGKILL)
    gone(observed.stack_id)
    assert cli.status() == {}, "the reaper has tidied up"


def test_up_cleans_up_after_killed_supervisor_and_reaper(cli: Cli) -> None:
    first = cli.up("--parts", "redis")
    _orphan(first)
    assert not cli.status()["supervisor"].healthy
    second = cli.run("up", "--parts", "redis")
    assert second.returncode == 0
    assert "an earlier stack had left" in second.stderr
    assert not members(first.stack_id)

    last = cli.observed()
    _orphan(last)
    assert members(last.stack_id)
    assert cli.run("down").returncode == 0
    assert not members(last.stack_id)


def _orphan(observed: Observed) -> None:
    reapers = [child for child in psutil.Process(observed.pid).children() if child.pid not in _children(observed)]
    assert len(reapers) == 1
    for process in [*reapers, psutil.Process(observed.pid)]:
        process.suspend()  # neither may see the other die
    for process in [*reapers, psutil.Process(observed.pid)]:
        process.kill()
    redis_pid = observed.children["redis"].pid
    assert psutil.pid_exists(redis_pid)
    eventually(lambda: psutil.Process(redis_pid).ppid() != observed.pid)


def _children(observed: Observed) -> set[int]:
    return {child.pid for child in observed.children.values()}


def test_killed_reaper_is_replaced(cli: Cli) -> None:
    observed = cli.up("--parts", "redis")

    def reapers() -> list[psutil.Process]:
        found = psutil.Process(observed.pid).children()
        return [each for each in found if each.pid not in _children(observed) and each.status() != "zombie"]

    killed = reapers()[0]
    killed.kill()
    eventually(lambda: (now := reapers()) and now[0].pid != killed.pid)
    os.kill(observed.pid, signal.SIGKILL)
    gone(observed.stack_id)


def test_killed_redis_comes_back_with_its_data(state_dir: Path, offset: int) -> None:
    stack = up(LocalConfig(state_dir=state_dir, parts=frozenset({"redis"})).with_ports(offset), attached=True)
    variables = read(State(state_dir))
    client = redis.Redis.from_url(variables["TIDEGATE_REDIS_URL"], password=variables["TIDEGATE_REDIS_PASSWORD"])
    client.set("kept", "yes")
    for _ in range(2):
        pid = stack.pid("redis")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: stack.pid("redis") not in (None, pid) and _answers(client))  # noqa: B023
        assert client.get("kept") == b"yes"
    client.close()
    stack.close()
    assert not State(state_dir).observed_file.exists()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_removed_state_folder_ends_the_stack(state_dir: Path, offset: int) -> None:
    up(LocalConfig(state_dir=state_dir, parts=frozenset({"redis"})).with_ports(offset))
    observed = Observed.read(State(state_dir).observed_file)
    assert observed is not None
    shutil.rmtree(state_dir)
    gone(observed.stack_id)


def test_down_ends_a_starting_stack(cli: Cli, state_dir: Path) -> None:
    launcher = cli.start("up", "--parts", "redis,mlflow")
    eventually(State(state_dir).observed_file.exists)
    stack_id = cli.stack_id()
    assert down(state_dir)
    assert launcher.wait(30) == 2
    assert not members(stack_id)
