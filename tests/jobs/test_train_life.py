"""A training run's life on a cluster that changes: a node is lost, one comes, one is drained, the job is stopped and
submitted again. Through all of it the loss curve is that of one process.

On a stack of its own, whose nodes this test may kill. The job is submitted and stopped as a user does it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from mlflow import MlflowClient
from ray.job_submission import JobStatus, JobSubmissionClient

from app.training.config.schedule import BatchPlan, learning_rate
from app.training.worker.loader import Loader
from cluster.local import LocalConfig, Stack, up
from tests.conftest import PORT_SHIFT, REPLICA_PORT_SHIFT
from tests.support.tiny import TinyConfig, TinyRecipe

ROOT = Path(__file__).parents[2]
ROWS, BATCH, EPOCHS, RATE = 480, 48, 30, 0.0005
OPTIONS = TinyConfig(rows=ROWS, step_s=0.1, dropout=0.0)
CONFIG = f"""
recipe: tests.support.tiny:TinyRecipe
model: survivor
workers: 2:4
batch_size: {BATCH}
epochs: {EPOCHS}
learning_rate: {RATE}
checkpoint_every: 10
device: cpu
options: {OPTIONS.model_dump_json()}
"""


@dataclass
class Changing:
    """A stack whose second node comes and goes."""

    stack: Stack
    config: LocalConfig
    environment: dict[str, str]

    def kill_node(self, name: str) -> None:
        """End all processes of a node at once."""
        pid = self.stack.pid(name)
        assert pid is not None
        for process in (*psutil.Process(pid).children(recursive=True), psutil.Process(pid)):
            process.kill()

    def bring_node_back(self) -> None:
        """A node comes."""
        up(self.config)

    def drain(self, label: str, seconds: float) -> None:
        """Announce that a node will be taken away."""
        code = (
            "import ray, time; ray.init(log_to_driver=False)\n"
            f"(node,) = [n for n in ray.nodes() if n['Alive'] and {label!r} in n['Labels'].values()]\n"
            "from ray._private.worker import global_worker\n"
            "ok, why = global_worker.gcs_client.drain_node(node['NodeID'], 2, 'spot',"
            f" int((time.time() + {seconds}) * 1000))\n"
            "assert ok, why"
        )
        subprocess.run([sys.executable, "-c", code], env=self.environment, check=True, timeout=120)


@pytest.fixture(scope="module")
def changing(cluster_turn: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changing]:
    config = LocalConfig(
        state_dir=tmp_path_factory.mktemp("changing") / "state",
        parts=frozenset({"ray", "mlflow"}),
        nodes=1,
        cpus_per_node=2,
        head_cpus=2,
    ).with_ports(offset=700 + PORT_SHIFT, replicas=28000 + REPLICA_PORT_SHIFT)
    stack = up(config, attached=True)
    try:
        yield Changing(stack, config, os.environ | stack.environment | {"TIDEGATE_STATE_DIR": str(stack.state_dir)})
    finally:
        stack.close()


class Log:
    """The log of a job that is running."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    def await_line(self, pattern: str, timeout_s: float = 300, after: int = 0) -> re.Match[str]:
        """Block until a line matches from character ``after`` on."""
        deadline = time.monotonic() + timeout_s
        while True:
            text = self._read()
            found = re.compile(pattern, re.MULTILINE).search(text, after)
            if found:
                return found
            assert time.monotonic() < deadline, f"no {pattern!r} in\n{text}"
            time.sleep(0.2)


def test_run_goes_on_after_lost_nodes_and_a_stopped_job(
    changing: Changing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "survivor.yaml"
    path.write_text(CONFIG)
    environment = changing.environment
    for name, value in changing.stack.environment.items():  # Ray's wins over an address that is given
        monkeypatch.setenv(name, value)
    jobs = JobSubmissionClient(environment["TIDEGATE_RAY_DASHBOARD_URL"])
    entrypoint = f"python -m jobs.train --config {path}"
    job = jobs.submit_job(entrypoint=entrypoint, runtime_env={"working_dir": str(ROOT)})
    log = Log(lambda: jobs.get_job_logs(job))

    log.await_line(r"^training with 4 workers on cpu \(dp_replicate=4, accumulation 1;")
    seen = log.await_line(r"^step (\d+)/300 ").end()
    changing.kill_node("ray-node-1")
    lost = log.await_line(r"^the worker group was lost after step (\d+): ", after=seen)
    resumed = log.await_line(
        r"going on from step (\d+) with 2 workers on cpu \(dp_replicate=2, accumulation 2;", after=lost.end()
    )
    assert int(lost[1]) - 20 <= int(resumed[1]) <= int(lost[1])
    assert int(resumed[1]) % 10 == 0
    recovered = log.await_line(
        r"^first step ([\d.]+) s after the last sign of the lost group; (\d+) steps are made again"
    )

    changing.bring_node_back()
    grown = log.await_line(
        r"^there is room for 4 workers instead of 2: a checkpoint, then the workers leave", after=recovered.end()
    )
    log.await_line(r"^going on from step \d+ with 4 workers", after=grown.end())
    seen = log.await_line(r"^step \d+/300 ", after=grown.end()).end()
    changing.drain("ray-node-1", seconds=60)
    drained = log.await_line(r"^node \w+ is being drained: a checkpoint, then the workers leave", after=seen)
    log.await_line(r"^going on from step \d+ with 2 workers", after=drained.end())
    log.await_line(r"^step \d+/300 ", after=drained.end())

    jobs.stop_job(job)
    stopped = log.await_line(
        r"^stopped; the next submission of this run goes on from step (\d+)", after=drained.end()
    )
    assert json.loads(jobs.get_job_logs(job).splitlines()[-1]) == {
        "model": "survivor",
        "stopped_at_step": int(stopped[1]),
    }
    deadline = time.monotonic() + 180
    while jobs.get_job_status(job) == JobStatus.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert jobs.get_job_status(job) == JobStatus.STOPPED
    assert "asked to stop: a checkpoint, then the workers leave" in jobs.get_job_logs(job)

    again = subprocess.run(
        [sys.executable, *entrypoint.split()[1:]],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"this run was stopped before its end; going on from step {stopped[1]} " in again.stdout
    trained = json.loads(again.stdout.splitlines()[-1])
    assert trained["restarts"] == 0
    found = logged_losses(MlflowClient(environment["TIDEGATE_MLFLOW_TRACKING_URI"]), trained["run_id"])
    wanted = losses_of_one_process()
    assert set(found) >= set(range(300))
    np.testing.assert_allclose(
        [found[step] for step in sorted(found)], [wanted[step] for step in sorted(found)], rtol=5e-6
    )


def logged_losses(client: MlflowClient, run_id: str) -> dict[int, float]:
    """The newest loss of each step."""
    history = client.get_metric_history(run_id, "train.loss")
    return {metric.step: metric.value for metric in sorted(history, key=lambda metric: metric.timestamp)}


def losses_of_one_process() -> list[float]:
    """The same run by a plain loop."""
    import torch

    recipe = TinyRecipe(OPTIONS.model_copy(update={"step_s": 0.0}))
    data = recipe.prepare()
    torch.manual_seed(0)
    model = recipe.build(data)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    plan = BatchPlan(ROWS, BATCH, EPOCHS, 0)
    loader = Loader(data.train, plan, 0, 1, torch.device("cpu"))
    losses = []
    for step in range(plan.steps):
        optimizer.param_groups[0]["lr"] = learning_rate(step, plan.steps, RATE, 0.1)
        optimizer.zero_grad()
        loss = recipe.loss(model, loader.batch(step))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
