"""One real local stack for the whole session: Valkey, MLflow, a Ray cluster of two nodes, the gateway.

It starts when the first test asks for it and ends with the session, also when the session is killed. Tests that need
it have the mark ``stack``; with workers (``-n N``) one worker runs them all (``tests/support/sharing.py``).
"""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import ray
from mlflow import MlflowClient
from ray.serve.handle import DeploymentHandle

from app.registry import connect
from app.settings import Settings, get_settings
from cluster.local import LocalConfig, Stack, up
from tests.support.sharing import GROUPS_FILE, GroupScheduling, write_groups
from tests.support.turns import turn

_SESSION = int(os.environ.get("TEST_PORT_SHIFT", "0"))
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORT_SHIFT = _SESSION + 100 * _WORKER
"""Two sessions on one machine need ports of their own; the second one sets 2000, say. So do a session's workers."""
REPLICA_PORT_SHIFT = -2 * _SESSION - 6000 * _WORKER
PORT_OFFSET = 2700 + PORT_SHIFT
REPLICA_PORTS = 26000 + REPLICA_PORT_SHIFT

FIRST = (
    "stack",
    "tests/training/layouts/test_layouts.py",
    "tests/training/worker/test_checkpoint.py",
    "clusters",
    "training",
    "tests/jobs/test_dry_run.py",
)
"""What no worker should begin when the others have ended, the longest first. The files with clusters of their own
come when the stack has had its turn to start."""
_FOLDER = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
TRAINING = "tests/training/"
FLIGHTS = "tests/recipes/flights/"
"""Its files share one worker: they look at the same prepared data, a fixture of the session."""


hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Undoes what a shell does to its background processes: those ignore SIGINT, and all that they start does."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker where it writes the groups of the tests."""
    node.workerinput[GROUPS_FILE] = str(_groups_file(node.config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    """Returns the scheduler that keeps groups together."""
    return GroupScheduling(config, log, _groups_file(config))


def _groups_file(config: pytest.Config) -> Path:
    folder = config.stash.setdefault(_FOLDER, tempfile.TemporaryDirectory(prefix="tidegate-tests-"))
    return Path(folder.name) / "groups.json"


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs the stack, and share the tests out to workers: those with the stack to one, those with clusters
    of their own and those that train on a stack to another, the other files as workers come free."""
    groups = {}
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        group = item.nodeid.partition("::")[0]
        if "stack" in fixtures:
            item.add_marker("stack")
            group = "training" if group.startswith(TRAINING) else "stack"
        elif "cluster_turn" in fixtures:
            group = "clusters"
        elif group.startswith(FLIGHTS):
            group = FLIGHTS
        groups[item] = group
    items.sort(key=lambda item: FIRST.index(groups[item]) if groups[item] in FIRST else len(FIRST))
    shared = {item.nodeid: "clusters" if group == "training" else group for item, group in groups.items()}
    write_groups(config, shared)


@pytest.fixture(scope="module")
def cluster_turn() -> Iterator[None]:
    """The turn of a file that starts Ray clusters of its own, until its last test."""
    with turn():
        yield


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The running stack."""
    state = tmp_path_factory.mktemp("stack") / "state"
    os.environ["RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"] = "2"
    config = LocalConfig(state_dir=state, nodes=1).with_ports(offset=PORT_OFFSET, replicas=REPLICA_PORTS)
    if "PYTEST_XDIST_WORKER" in os.environ and os.environ["PYTEST_CURRENT_TEST"].startswith(TRAINING):
        config = replace(config, parts=frozenset({"ray", "mlflow"}))  # this worker has no other tests with a stack
    with turn():
        stack = up(config, attached=True)
    yield stack
    stack.close()


@pytest.fixture(scope="session")
def settings(stack: Stack) -> Iterator[Settings]:
    """The settings that a command beside the stack finds."""
    os.environ["TIDEGATE_STATE_DIR"] = str(stack.state_dir)
    os.environ.update({name: value for name, value in stack.environment.items() if name.startswith("RAY_")})
    get_settings.cache_clear()
    yield get_settings()
    del os.environ["TIDEGATE_STATE_DIR"]
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def registry(settings: Settings) -> MlflowClient:
    """The stack's MLflow."""
    return connect(settings.mlflow)


@pytest.fixture(scope="session")
def driver(settings: Settings) -> Iterator[Settings]:
    """This process as a driver of the stack's Ray cluster."""
    ray.init(address=settings.ray.address, namespace=settings.ray.namespace, log_to_driver=False)
    yield settings
    # An open handle goes on calling Ray from a thread of its own; during a shutdown that can end the process.
    for handle in [found for found in gc.get_objects() if type(found) is DeploymentHandle]:
        handle.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


@pytest.fixture
def warm_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """For many dry runs: forks do what a program does otherwise, as in ``tests/training/dryrun/test_estimate.py``."""
    from tests.support import warm  # imports torch

    monkeypatch.setattr("app.training.dryrun.held.run_program", warm.run_program)


@pytest.fixture
def redis_pid(stack: Stack) -> Callable[[], int]:
    """The pid of the stack's Redis server now."""

    def pid() -> int:
        found = stack.pid("redis")
        assert found is not None
        return found

    return pid
