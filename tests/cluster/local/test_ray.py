"""Two whole stacks side by side, each with Ray, Serve behind HAProxy and stand-ins for its applications."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.local import LocalConfig, Stack, down, status, up
from cluster.local.dashboard import Dashboard
from cluster.local.processes import members
from cluster.local.records import Desired, Observed
from cluster.local.state import State
from tests.cluster.local.conftest import free_offset
from tests.cluster.local.support import family

STAND_IN = """
import os
from fastapi import FastAPI
from ray import serve

app = FastAPI()


@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 0.1})
@serve.ingress(app)
class StandIn:
    @app.get("/v2/health/ready")
    def ready(self):
        key = "TIDEGATE_GATEWAY_ADMIN_KEY" in os.environ
        return {"source": "one", "state": os.environ["TIDEGATE_STATE_DIR"], "key": key}

    async def ServerReady(self, request):
        # Not at the top: this module travels by value, which a message cannot.
        from app.gateway.grpc.messages import CLASSES

        return CLASSES["ServerReadyResponse"](ready=True)


def build(args):
    return StandIn.bind()


releases = FastAPI()


@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 0.1})
@serve.ingress(releases)
class Releases:
    @releases.get("/health")
    def health(self):
        return {"ready": True}


def build_releases(args):
    return Releases.bind()
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stand-in's source, importable here and in the stacks."""
    folder = tmp_path_factory.mktemp("source")
    file = folder / "tidegate_stand_in.py"
    file.write_text(STAND_IN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        patch.setenv("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", "1")  # 30 s for each replaced replica
        yield file


def config(state_dir: Path, offset: int, nodes: int = 0) -> LocalConfig:
    return with_stand_ins(state_dir, nodes).with_ports(offset)


def with_stand_ins(state_dir: Path, nodes: int) -> LocalConfig:
    return LocalConfig(
        state_dir=state_dir,
        nodes=nodes,
        gateway_import_path="tidegate_stand_in:build",
        releases_import_path="tidegate_stand_in:build_releases",
    )


@pytest.fixture(scope="module")
def pair(cluster_turn: None, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Stack]]:
    """Two stacks, started at the same time; the first one's folder is too deep for a Unix socket."""
    folder = tmp_path_factory.mktemp("pair")
    folders = folder / "a-folder-whose-name-is-so-long-that-no-socket-fits" / ("deep" * 20) / "one", folder / "two"
    first = free_offset()
    offsets = first, first + 10 if first < 14_000 else first - 10
    with ThreadPoolExecutor(2) as pool:
        starting = [pool.submit(up, config(*each), attached=True) for each in zip(folders, offsets, strict=True)]
        try:
            one, two = (each.result() for each in starting)
            yield one, two
        finally:
            for each in folders:
                down(each, purge=True)


def ready(stack: Stack) -> dict[str, Any]:
    reply = httpx.get(f"{stack.environment['TIDEGATE_GATEWAY_URL']}/v2/health/ready", timeout=10)
    found: dict[str, Any] = reply.raise_for_status().json()
    return found


def test_two_stacks_answer_each_for_itself(pair: tuple[Stack, Stack]) -> None:
    for stack in pair:
        assert ready(stack) == {"source": "one", "state": str(stack.state_dir), "key": False}
        assert {part.name for part in status(stack.state_dir) if part.healthy} == {
            *("supervisor", "redis", "mlflow", "ray-head", "dashboard", "gateway", "releases")
        }
        with Dashboard(stack.environment["TIDEGATE_RAY_DASHBOARD_URL"]) as dashboard:
            assert len(dashboard.nodes()) == 1


def test_every_process_carries_the_marker(pair: tuple[Stack, Stack]) -> None:
    stack = pair[0]
    desired = Desired.read(State(stack.state_dir).desired_file)
    assert desired is not None
    supervisor = stack.pid("supervisor")
    assert supervisor is not None
    before = family(supervisor)
    marked = {each.process.pid for each in members(desired.stack_id)} | {supervisor}
    assert not (before & family(supervisor)) - marked


def test_submitted_job_joins_its_own_cluster(pair: tuple[Stack, Stack]) -> None:
    stack = pair[1]
    code = "import ray; ray.init(); print('joined', ray.get_runtime_context().gcs_address)"
    ray_job = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit"]
    done = subprocess.run(
        [*ray_job, "--address", stack.environment["TIDEGATE_RAY_DASHBOARD_URL"], "--", sys.executable, "-c", code],
        env={**os.environ, "RAY_AUTH_MODE": "token"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"joined {stack.environment['TIDEGATE_RAY_ADDRESS']}" in done.stdout


def test_node_is_added_and_changed_source_rolled_out(pair: tuple[Stack, Stack], source: Path) -> None:
    stack = pair[1]
    head = stack.pid("ray-head")
    source.write_text(STAND_IN.replace('"one"', '"another"'))
    grown = up(with_stand_ins(stack.state_dir, nodes=1))
    assert grown.adopted
    assert grown.pid("ray-head") == head
    assert grown.pid("ray-node-1") is not None
    assert ready(grown)["source"] == "another"
    assert ready(pair[0])["source"] == "one"


def test_down_leaves_no_process(pair: tuple[Stack, Stack]) -> None:
    found = [Observed.read(State(stack.state_dir).observed_file) for stack in pair]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Stack.close, pair))
    for observed in found:
        assert observed is not None
        assert not members(observed.stack_id)
