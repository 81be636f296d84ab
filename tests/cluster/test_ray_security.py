"""A Ray cluster whose processes talk over TLS and ask for a token: who has both takes part, who lacks one is out."""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.conftest import PORT_SHIFT, REPLICA_PORT_SHIFT
from tests.support.certificates import Issued, issue
from tests.support.processes import ProcessError, Processes, outer_environment
from tests.support.ray_cluster import OBJECT_STORE, Ports, RayCluster, base_environment, serve_environment

PORTS = Ports(4100 + PORT_SHIFT, 22_000 + REPLICA_PORT_SHIFT)
REFUSED_S = 100.0
"""Longest that one who is not let in may try."""
JOINS = (
    "import ray; ray.init(log_to_driver=False); print(ray.get(ray.remote(lambda: 'a task ran').remote(), timeout=60))"
)
SERVES = """
import httpx, ray
from ray import serve

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Answer:
    async def __call__(self, request):
        return "over TLS inside"

ray.init(log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": PORT})
serve.run(Answer.bind())
print(httpx.get("http://127.0.0.1:PORT/", timeout=30).text)
"""


IMPATIENT = {
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "RAY_gcs_rpc_server_connect_timeout_s": "2",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    "RAY_gcs_server_request_timeout_seconds": "5",
}
"""Ray tries for a minute and longer."""


@dataclass(frozen=True, slots=True)
class Outsider:
    """A process that is to be refused.

    Attributes:
        variables: what it has instead of a member's; None: it lacks that.
        log_words: words of its log.
    """

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str | None]
    log_words: str


@dataclass(frozen=True, slots=True)
class Secured:
    """The running cluster, and what its members and others have."""

    processes: Processes
    cluster: RayCluster
    token: str
    other: Issued

    def runs(self, name: str, *command: str, without: Collection[str] = (), **instead: str) -> str:
        """The last line of a Python process beside the cluster.

        Args:
            without: variables that it lacks; instead: those that it has another value of.

        Raises:
            ProcessError: it failed.
        """
        environ = {**self.cluster.client_environment(), **instead}
        environ = {key: value for key, value in environ.items() if key not in without}
        return self.processes.finish(name, [sys.executable, "-P", *command], environ, REFUSED_S)


@pytest.fixture(scope="module")
def secured(cluster_turn: None) -> Iterator[Secured]:
    with tempfile.TemporaryDirectory(prefix="sec-", ignore_cleanup_errors=True) as name:
        folder, token = Path(name), secrets.token_urlsafe(24)
        outer = outer_environment()
        environment = base_environment(outer, token) | serve_environment() | issue(folder, "ours").ray_variables()
        with Processes(folder) as processes:
            cluster = RayCluster(processes, folder, PORTS, environment, token)
            cluster.start_head()
            cluster.await_head()
            cluster.await_nodes(1)
            cluster.start_worker(1, num_cpus=2)
            cluster.await_nodes(2)
            yield Secured(processes, cluster, token, issue(folder, "theirs"))


def test_members_run_tasks_and_serve_answers_behind_haproxy(secured: Secured) -> None:
    assert secured.runs("task", "-c", JOINS) == "a task ran"  # on the worker node: the head has no CPUs
    assert secured.runs("serve", "-c", SERVES.replace("PORT", str(PORTS.door(0)))) == "over TLS inside"


def test_process_without_certificate_or_token_is_refused(secured: Secured, tmp_path: Path) -> None:
    """All at once: each takes as long as Ray tries."""
    theirs, token = secured.other.ray_variables(), {"RAY_AUTH_TOKEN": secrets.token_urlsafe(24)}
    no_token = {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": None}
    node: tuple[str, ...] = (
        "-m",
        "cluster.local.ray_node",
        "--gcs",
        secured.cluster.address,
        "--label",
        "node=outsider",
    )
    node += ("--temp-dir", str(tmp_path), "--num-cpus", "1", "--object-store-memory", str(OBJECT_STORE))
    outsiders = [
        Outsider("driver-other-authority", ("-c", JOINS), theirs, "CERTIFICATE_VERIFY_FAILED"),
        Outsider("driver-no-certificate", ("-c", JOINS), dict.fromkeys(theirs), "Failed to connect to GCS"),
        Outsider("driver-wrong-token", ("-c", JOINS), token, "InvalidAuthToken"),
        Outsider("driver-no-token", ("-c", JOINS), no_token, "InvalidAuthToken"),
        Outsider("node-other-authority", node, theirs, "CERTIFICATE_VERIFY_FAILED"),
        Outsider("node-wrong-token", node, token, "InvalidAuthToken"),
    ]

    def refusal(outsider: Outsider) -> str:
        lacks = {name for name, value in outsider.variables.items() if value is None}
        has = {name: value for name, value in outsider.variables.items() if value is not None}
        with pytest.raises(ProcessError, match="ended with"):
            secured.runs(outsider.name, *outsider.command, without=lacks, **IMPATIENT, **has)
        return secured.processes.log(outsider.name).read_text()

    with ThreadPoolExecutor(len(outsiders)) as pool:
        for outsider, said in zip(outsiders, pool.map(refusal, outsiders), strict=True):
            assert outsider.log_words in said, f"{outsider.name}: {said}"
    assert secured.runs("task-again", "-c", JOINS) == "a task ran"


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("wrong", 403), ("right", 200)])
def test_the_jobs_api_asks_for_the_token(secured: Secured, token: str | None, status: int) -> None:
    headers = {"Authorization": f"Bearer {secured.token if token == 'right' else token}"} if token else {}
    reply = httpx.get(f"{secured.cluster.dashboard_url}/api/jobs/", headers=headers, timeout=60, trust_env=False)
    assert reply.status_code == status
