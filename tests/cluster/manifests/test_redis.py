"""The scripts of the Redis ConfigMap, run with the real server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import AuthenticationError, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cluster.local.redis_choice import server_binary
from tests.cluster.manifests.rendering import render
from tests.conftest import PORT_SHIFT

PORT = 7790 + PORT_SHIFT
PASSWORD = 'quote " back\\slash ünd $HOME'


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the files that the pod mounts, with data and port of this machine."""
    folder = tmp_path_factory.mktemp("redis")
    data = next(
        obj["data"]
        for obj in render("base")
        if (obj["kind"], obj["metadata"]["name"]) == ("ConfigMap", "tidegate-redis")
    )
    (folder / "data").mkdir()
    for name, text in data.items():
        text = text.replace("dir /data", f"dir {folder}/data").replace("port 6379", f"port {PORT}")
        (folder / name).write_text(text.replace("bind * -::*", "bind 127.0.0.1"))
    (folder / "password").write_text(PASSWORD)
    return folder


@pytest.fixture(scope="module")
def environment(mounted: Path) -> dict[str, str]:
    binaries = mounted / "bin"
    binaries.mkdir()
    (binaries / "valkey-server").symlink_to(server_binary())
    return {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "TIDEGATE_REDIS_SECRET": str(mounted),
        "TIDEGATE_REDIS_PORT": str(PORT),
    }


@pytest.fixture(scope="module")
def server(mounted: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (mounted / "log").open("wb") as log:
        process = subprocess.Popen(["bash", mounted / "start.sh"], env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while ping(mounted, environment).returncode != 0:
            assert process.poll() is None, (mounted / "log").read_text()
            assert time.monotonic() < deadline, (mounted / "log").read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


def ping(mounted: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", mounted / "ping.sh"], env=environment, capture_output=True, timeout=10, check=False
    )


def test_redis_is_the_process_that_gets_the_signals(server: subprocess.Popen[bytes]) -> None:
    shown = Path(f"/proc/{server.pid}/cmdline").read_bytes()
    assert b"valkey-server" in shown.split(b"\0")[0]
    assert PASSWORD.encode() not in shown + Path(f"/proc/{server.pid}/environ").read_bytes()


def test_password_with_special_characters_is_required(server: subprocess.Popen[bytes]) -> None:
    with Redis(port=PORT, password=PASSWORD) as client:
        assert client.ping() is True
    with (
        Redis(port=PORT, password="other", retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(AuthenticationError),
    ):
        client.ping()


def test_redis_fsyncs_each_second_and_evicts_nothing(server: subprocess.Popen[bytes]) -> None:
    with Redis(port=PORT, password=PASSWORD, decode_responses=True) as client:
        config = client.config_get("append*", "maxmemory*")
    assert config["appendonly"] == "yes"
    assert config["appendfsync"] == "everysec"
    assert config["maxmemory-policy"] == "noeviction"
    pod = next(obj for obj in render("base") if obj["kind"] == "StatefulSet")["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["memory"] == "2Gi"
    assert 0.5 < int(config["maxmemory"]) / 2**31 < 0.75


def test_the_probe_notices_a_wrong_password(
    server: subprocess.Popen[bytes], mounted: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("other")
    found = ping(mounted, environment | {"TIDEGATE_REDIS_SECRET": str(tmp_path)})
    assert found.returncode != 0
    assert b"WRONGPASS" in found.stderr


def test_without_a_password_it_does_not_start(mounted: Path, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("")
    found = subprocess.run(
        ["bash", mounted / "start.sh"],
        env=environment | {"TIDEGATE_REDIS_SECRET": str(tmp_path)},
        capture_output=True,
        timeout=10,
        check=False,
    )
    assert found.returncode == 1
    assert b"is empty" in found.stderr
