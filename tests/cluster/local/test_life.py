"""up, status, up again, down: what a person does all day."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.local import LocalConfig, PortTakenError, StackError, down, status, up
from cluster.local.envfile import read
from cluster.local.processes import members
from cluster.local.state import State
from tests.cluster.local.conftest import free_offset
from tests.cluster.local.support import Cli, family, gone


def test_up_adopts_and_down_leaves_nothing(cli: Cli) -> None:
    first = cli.up("--parts", "redis")
    both = cli.up("--parts", "redis,mlflow")
    assert both.children["redis"] == first.children["redis"], "adopted; MLflow was added beside it"
    shown = cli.run("status", "--json")
    assert shown.returncode == 0
    found = {part["name"]: part for part in json.loads(shown.stdout)}
    assert {name for name, part in found.items() if part["healthy"]} == {"supervisor", "redis", "mlflow"}
    assert found["redis"]["pid"] == first.children["redis"].pid
    assert found["redis"]["version"].startswith(("valkey", "redis"))
    assert found["mlflow"]["address"].endswith(str(5000 + cli.offset))
    assert family(first.pid) <= {first.pid} | {each.process.pid for each in members(first.stack_id)}

    assert cli.up("--parts", "redis") == both  # fewer parts than run: nothing is taken away

    refused = cli.run("up", "--parts", "redis", "--redis-port", str(6378 + cli.offset))
    assert refused.returncode == 2
    assert "`down` first" in refused.stderr
    assert cli.run("down").returncode == 0
    assert not members(first.stack_id)
    assert cli.run("status").returncode == 1
    assert cli.run("down").returncode == 0


def test_stack_env_serves_commands_and_shells(cli: Cli, state_dir: Path) -> None:
    cli.up("--parts", "redis")
    file = State(state_dir).env_file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first = read(State(state_dir))
    assert first["TIDEGATE_REDIS_URL"] == f"redis://127.0.0.1:{6379 + cli.offset}/0"
    assert first["TIDEGATE_STATE_DIR"] == str(state_dir)
    assert first["TIDEGATE_TRAINING_STORAGE"] == str(state_dir / "runs")
    assert first["TIDEGATE_FEATURES_STORAGE"] == str(state_dir / "features")
    assert not {name for name in first if "RAY" in name or "MLFLOW" in name}, "only what runs has an address"
    child = cli.observed().children["redis"].pid
    environ = Path(f"/proc/{child}/environ").read_text() if sys.platform == "linux" else ""
    assert first["TIDEGATE_GATEWAY_ADMIN_KEY"] not in environ

    seen = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "settings", "--json"],
        env={**os.environ, "TIDEGATE_STATE_DIR": str(state_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(seen.stdout)["TIDEGATE_REDIS_URL"]["value"] == first["TIDEGATE_REDIS_URL"]
    assert "unknown" not in seen.stderr

    cli.run("down")
    after = read(State(state_dir))
    assert set(after) == {
        "TIDEGATE_REDIS_PASSWORD",
        "TIDEGATE_GATEWAY_ADMIN_KEY",
        "TIDEGATE_GATEWAY_ADMIN_KEY_HASH",
    }
    cli.up("--parts", "redis")
    assert read(State(state_dir)) == first, "secrets are kept"


def test_taken_port_is_named_with_its_holder(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 6379 + cli.offset)):
        done = cli.run("up", "--parts", "redis")
    assert done.returncode == 2
    for said in (str(6379 + cli.offset), f"pid {os.getpid()}", "python", "--redis-port", "--port-offset"):
        assert said in done.stderr
    assert cli.status() == {}, "nothing was started"


def test_failed_start_prints_the_reason_and_leaves_nothing(state_dir: Path, offset: int) -> None:
    up(LocalConfig(state_dir=state_dir, parts=frozenset({"redis"})).with_ports(offset))
    down(state_dir)
    for file in (state_dir / "redis" / "appendonlydir").glob("*.manifest"):
        file.write_text("nonsense\n")
    with pytest.raises(StackError, match=r"redis ended with status 1\n(.*\n)*.*manifest"):
        up(LocalConfig(state_dir=state_dir, parts=frozenset({"redis"})).with_ports(offset))
    assert status(state_dir) == []


def test_foreign_redis_is_adopted_and_never_stopped(
    tmp_path: Path, state_dir: Path, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = up(
        LocalConfig(state_dir=tmp_path / "theirs", parts=frozenset({"redis"})).with_ports(offset), attached=True
    )
    try:
        password = theirs.environment["TIDEGATE_REDIS_PASSWORD"]
        monkeypatch.setenv("TIDEGATE_REDIS_URL", f"redis://:{password}@127.0.0.1:{theirs.ports.redis}/3")
        ours = up(LocalConfig(state_dir=state_dir, parts=frozenset({"redis"})).with_ports(free_offset()))
        assert ours.pid("redis") is None
        assert ours.environment["TIDEGATE_REDIS_URL"] == f"redis://127.0.0.1:{theirs.ports.redis}/3"
        assert ours.environment["TIDEGATE_REDIS_PASSWORD"] == password
        assert all(part.healthy for part in status(state_dir))
        assert down(state_dir)
        assert "TIDEGATE_REDIS_PASSWORD" not in read(State(state_dir))
        assert all(part.healthy for part in status(tmp_path / "theirs"))
    finally:
        theirs.close()


def test_purge_removes_the_folder_and_nothing_foreign(cli: Cli, state_dir: Path, tmp_path: Path) -> None:
    stack_id = cli.up("--parts", "redis").stack_id
    assert cli.run("down", "--purge").returncode == 0
    gone(stack_id)
    assert not state_dir.exists()

    foreign = tmp_path / "home"
    foreign.mkdir()
    (foreign / "letter.txt").touch()
    with pytest.raises(StackError, match="no state folder"):
        down(foreign, purge=True)
    with pytest.raises(StackError, match=r"letter\.txt"):
        up(LocalConfig(state_dir=foreign, parts=frozenset({"redis"})))
    assert (foreign / "letter.txt").exists()


def test_taken_ports_raise_port_taken_error(state_dir: Path, offset: int) -> None:
    config = LocalConfig(state_dir=state_dir, parts=frozenset({"redis"})).with_ports(offset)
    with (
        socket.create_server(("127.0.0.1", config.ports.redis if config.ports else 0)),
        pytest.raises(PortTakenError),
    ):
        up(config)
