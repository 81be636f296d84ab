"""The loss of the head, start to end: everything up, the head killed, its absence, its return, what is there then."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from dotenv import dotenv_values

from tests.cluster.head_loss.deploy import MODEL
from tests.cluster.head_loss.load import Load, Tally, tally
from tests.support.processes import Processes, outer_environment
from tests.support.ray_cluster import (
    HEAD,
    HOST,
    Ports,
    RayCluster,
    Store,
    base_environment,
    serve_environment,
    worker_name,
)

PYTHON = shlex.quote(sys.executable)
WORKERS = (1, 2)
WORKER_CPUS = 4
START_S = 400.0
ANSWERS = 100
"""Answered requests that a phase lasts for at least."""
STEPS, STEP_S, CHECKPOINT_EVERY = 800, 0.1, 10
STEPS_AWAY = 40
"""Steps that the training run makes while the head is away, at least."""
BEFORE, AWAY, RETURN, AFTER = "before", "head away", "head returns", "after"
PHASES = (BEFORE, AWAY, RETURN, AFTER)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HeadLoss:
    """The findings of one run.

    Attributes:
        calls: by phase.
        problems: what went wrong with requests, with the phase, the first few.
        killed: processes of the head's node.
        away_s: from the kill until the head was started again, seconds.
        head_starts: tries until it stayed: 1, but where the machine is busy.
        head_s, deploy_s: from that start until the dashboard answered, and until a further version was deployed and
            followed by every gateway replica, seconds.
        witness: what the detached actor counted, its memory kept: 2.
        applications: Serve's status by application, after the return.
        revisions: of the route table before the loss and after the return.
        replicas_kept: replicas before the loss, and those among them that still ran after it.
        steps: the training run's step when the head was killed, when it was started again, and at the end.
        jobs: what Ray says of the jobs: of one whose driver was on the head, of the training run, whose driver was on
            a worker node, and of one that was submitted after the return.
    """

    calls: dict[str, Tally]
    problems: list[str]
    killed: int
    away_s: float
    head_starts: int
    head_s: float
    deploy_s: float
    witness: int
    applications: dict[str, str]
    revisions: tuple[int, int]
    replicas_kept: tuple[int, int]
    steps: tuple[int, int, int]
    jobs: dict[str, str] = field(default_factory=dict)


def head_loss(ports: Ports, say: Say) -> HeadLoss:
    """Run it; two minutes on two quiet cores.

    Raises:
        ProcessError: a part did not start, or did not come back in time.
    """
    with (
        tempfile.TemporaryDirectory(prefix="hl-", ignore_cleanup_errors=True) as folder,
        Processes(Path(folder)) as processes,
    ):
        return _Scenario(processes, Path(folder), ports, say).run()


class _Scenario:
    def __init__(self, processes: Processes, folder: Path, ports: Ports, say: Say) -> None:
        self._processes, self._folder, self._ports, self._say = processes, folder, ports, say
        self._outer = outer_environment()
        self._cluster = self._prepared()

    def run(self) -> HeadLoss:
        cluster, say = self._cluster, self._say
        say("starting a head and two worker nodes, the gateway and a version on them")
        on_head, training = self._start()
        before = self._run("first")
        replicas = self._replicas()
        doors = [self._ports.door(node) for node in WORKERS]
        with Load(doors, MODEL) as load:
            load.begin_phase(BEFORE)
            load.await_answers(ANSWERS, START_S)
            self._await_step(1)
            load.begin_phase(AWAY)
            killed, lost = cluster.kill_head(), time.monotonic()
            step_killed = self._step()
            say(f"killed {killed} processes of the head")
            load.await_answers(ANSWERS, START_S)
            self._await_step(step_killed + STEPS_AWAY)
            step_back = self._step()
            load.begin_phase(RETURN)
            back = time.monotonic()
            cluster.start_head()
            cluster.await_head()
            head_s = time.monotonic() - back
            say(f"the head is back after {back - lost:.1f} s away and {head_s:.1f} s of start")
            cluster.await_nodes(1 + len(WORKERS))
            after = self._run("another")
            deploy_s = time.monotonic() - back
            say(f"a further version is deployed {deploy_s:.1f} s after the start")
            load.begin_phase(AFTER)
            load.await_answers(ANSWERS, START_S)
            # Ray's job manager on the new head looks after the jobs of the old one from the next submission on.
            stale = self._status(on_head)
            again = self._submit_job({"entrypoint": f"{PYTHON} --version"})
            jobs = {"on the head, until the next submission": stale} | {
                name: self._await_job(job)
                for name, job in (("on the head", on_head), ("training", training), ("submitted after", again))
            }
            calls = {phase: tally(load.sent, phase) for phase in PHASES}
            problems = [f"{each.phase}: {'; '.join(each.problems)}" for each in load.sent if each.problems]
        return HeadLoss(
            calls=calls,
            problems=problems[:10],
            killed=killed,
            away_s=back - lost,
            head_starts=cluster.head_starts,
            head_s=head_s,
            deploy_s=deploy_s,
            witness=after["witness"],
            applications=after["applications"],
            revisions=(before["revision"], after["revision"]),
            replicas_kept=(len(replicas), len(replicas & self._replicas())),
            steps=(step_killed, step_back, self._step()),
            jobs=jobs,
        )

    def _prepared(self) -> RayCluster:
        """Redis and MLflow run; nothing of Ray does."""
        state = self._folder / "state"
        command = [sys.executable, "-P", "-m", "jobs.cli", "local", "up", "--foreground", "--parts", "redis,mlflow"]
        command += ["--state-dir", str(state), "--port-offset", str(self._ports.offset)]
        self._processes.start("services", command, self._outer)

        def left() -> dict[str, str]:
            found = dotenv_values(state / "stack.env", interpolate=False)
            return {name: value for name, value in found.items() if value and name != "TIDEGATE_GATEWAY_ADMIN_KEY"}

        self._processes.await_true(
            lambda: "TIDEGATE_MLFLOW_TRACKING_URI" in left(), "Redis and MLflow answer", START_S, "services"
        )
        services, token = left(), secrets.token_urlsafe(24)
        environment = {
            **base_environment(self._outer, token),
            **serve_environment(),
            **services,
            "TIDEGATE_GATEWAY_ANONYMOUS": "predict",
            # As many as there are doors, and no more: a replica that starts in between says nothing of the loss.
            **{f"TIDEGATE_{of}_{bound}_REPLICAS": "2" for of in ("GATEWAY", "SERVING") for bound in ("MIN", "MAX")},
        }
        store = Store(
            urlsplit(services["TIDEGATE_REDIS_URL"]).netloc, services["TIDEGATE_REDIS_PASSWORD"], "head-loss"
        )
        return RayCluster(self._processes, self._folder, self._ports, environment, token, store)

    def _start(self) -> tuple[str, str]:
        """All of it up to the gateway; the jobs that it submitted, as ``_submit`` returns them."""
        cluster = self._cluster
        cluster.start_head()
        cluster.await_head()
        cluster.await_nodes(1)  # it may still give up
        for node in WORKERS:
            cluster.start_worker(node, WORKER_CPUS)
        cluster.await_nodes(1 + len(WORKERS))
        jobs = self._submit()
        gateway = {"name": "gateway", "route_prefix": "/", "import_path": "app.gateway.ingress:build", "args": {}}
        declared = {
            "proxy_location": "EveryNode",
            "http_options": {"host": HOST, "port": self._ports.door(0)},
            "applications": [gateway],
        }
        cluster.request("PUT", "/api/serve/applications/", declared)
        for node in WORKERS:
            url = f"http://{HOST}:{self._ports.door(node)}/v2/health/ready"
            self._processes.await_true(partial(_answers, url), f"{url} answers", START_S, HEAD, worker_name(node))
        return jobs

    def _submit(self) -> tuple[str, str]:
        """A job whose driver is on the head, where Ray puts it, and the training run with its driver on a worker."""
        config = self._folder / "paced.yaml"
        config.write_text(
            json.dumps(
                {
                    "recipe": "tests.support.tiny:TinyRecipe",
                    "model": "paced",
                    "workers": 2,
                    "batch_size": 512,
                    "epochs": STEPS,
                    "checkpoint_every": CHECKPOINT_EVERY,
                    "device": "cpu",
                    "options": {"rows": 512, "step_s": STEP_S, "dropout": 0.0},
                }
            )
        )
        on_head = self._submit_job({"entrypoint": f"{PYTHON} -c 'import time; time.sleep(3600)'"})
        training = self._submit_job(
            {
                "entrypoint": f"{PYTHON} -m tests.cluster.head_loss.train --config {shlex.quote(str(config))}",
                # The head has no CPUs, so a driver that asks for some is on a worker node and outlives the head.
                "entrypoint_num_cpus": 0.1,
            }
        )
        return on_head, training

    def _submit_job(self, body: dict[str, Any]) -> str:
        # The address is given, or a job may join another cluster of this machine.
        environment = {"runtime_env": {"env_vars": {"RAY_ADDRESS": self._cluster.address}}}
        return str(self._cluster.request("POST", "/api/jobs/", body | environment)["submission_id"])

    def _run(self, what: str) -> dict[str, Any]:
        command = [sys.executable, "-P", "-m", "tests.cluster.head_loss.deploy", what]
        said: dict[str, Any] = json.loads(
            self._processes.finish(f"deploy-{what}", command, self._cluster.client_environment(), START_S)
        )
        return said

    def _replicas(self) -> set[str]:
        """Serve's replicas that run, by id."""
        found = self._cluster.request("GET", "/api/serve/applications/")["applications"]
        return {
            replica["replica_id"]
            for application in found.values()
            for deployment in application["deployments"].values()
            for replica in deployment["replicas"]
            if replica["state"] == "RUNNING"
        }

    def _step(self) -> int:
        """The step of the training run's newest checkpoint: what its workers do, whatever their driver tells."""
        found = self._folder.glob("state/runs/paced-*/checkpoints/*")
        return max((int(checkpoint.name) for checkpoint in found), default=0)

    def _await_step(self, least: int) -> None:
        self._processes.await_true(lambda: self._step() >= least, f"a checkpoint of step {least}", START_S)

    def _await_job(self, job: str) -> str:
        """Its final status."""

        def ended() -> bool:
            return self._status(job) not in ("PENDING", "RUNNING")

        self._processes.await_true(ended, f"job {job} ends", START_S, HEAD)
        return self._status(job)

    def _status(self, job: str) -> str:
        return str(self._cluster.request("GET", f"/api/jobs/{job}")["status"])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
