"""Decisions that need no process."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cluster.local import LocalConfig, Ports, StackError, envfile
from cluster.local.backoff import DELAYS_S, WINDOW_S, restart_delay
from cluster.local.dashboard import Dashboard
from cluster.local.environment import child_environment
from cluster.local.gateway import applications, declare, source_digest
from cluster.local.interrupts import Interrupts
from cluster.local.records import Child, Desired, Observed
from cluster.local.redis_choice import external
from cluster.local.run_folder import LONGEST
from cluster.local.state import State


def test_ports_shift_together_and_stay_apart() -> None:
    ports, shifted = Ports(), Ports().shifted(200)
    assert all(getattr(shifted, port.name) - getattr(ports, port.name) == 200 for port in fields(Ports))
    assert not 10002 <= ports.gcs <= 19999, "Ray's worker ports"
    ends = [getattr(ports, port.name) % 100 for port in fields(Ports) if port.name not in ("mlflow", "replicas")]
    assert len(set(ends)) == len(ends), "a round offset meets no other port of the first stack"


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: Ports(redis=80), "redis=80"),
        (lambda: Ports(redis=6380), "redis and gcs are both 6380"),
        (lambda: Ports().shifted(60_000), "accepted"),
        (lambda: LocalConfig(parts=frozenset({"kafka"})), "kafka"),  # type: ignore[arg-type]
        (lambda: LocalConfig(parts=frozenset({"gateway", "redis"})), "needs redis and ray"),
        (lambda: LocalConfig(parts=frozenset({"redis"}), nodes=1), "nodes=1"),
        (lambda: LocalConfig(nodes=-1), "nodes=-1"),
        (lambda: LocalConfig(head_cpus=0), "head_cpus=0"),
        (lambda: LocalConfig(timeout_s=0), "timeout_s=0"),
    ],
)
def test_impossible_choice_is_refused(made: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        made()


@pytest.mark.parametrize(
    ("ages", "delay"),
    [
        ([0], 0.0),
        ([5, 0], 0.5),
        ([50, 40, 30, 0], DELAYS_S[-1]),
        ([50, 40, 30, 20, 0], None),
        ([WINDOW_S + 1, 40, 30, 20, 0], DELAYS_S[-1]),
        ([900, 800, 700, 600, 500, 400, 0], 0.0),
    ],
)
def test_restarts_wait_longer_and_end(ages: list[float], delay: float | None) -> None:
    assert restart_delay([1000.0 - age for age in ages], 1000.0) == delay


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, None),
        ({"TIDEGATE_REDIS_URL": "redis://127.0.0.1:1/0"}, None),  # our own address, and no server there
        ({"TIDEGATE_REDIS_URL": "redis://cache:7000/2"}, ("redis://cache:7000/2", None)),
        ({"TIDEGATE_REDIS_URL": "redis://cache"}, ("redis://cache:6379", None)),
        ({"TIDEGATE_REDIS_URL": "rediss://me:p%40ss@cache:7000/0"}, ("rediss://me@cache:7000/0", "p@ss")),
        (
            {"TIDEGATE_REDIS_URL": "redis://:old@cache:7000", "TIDEGATE_REDIS_PASSWORD": "new"},
            ("redis://cache:7000", "new"),
        ),
    ],
)
def test_redis_of_the_environment_wins_over_an_own_one(
    environ: dict[str, str], found: tuple[str, str | None] | None
) -> None:
    assert external(environ, own_port=1, own_stack_id=None) == found


@pytest.mark.parametrize("url", ["cache:7000", "http://cache", "redis://", "redis://cache:seven"])
def test_wrong_redis_address_is_refused(url: str) -> None:
    with pytest.raises(StackError, match="TIDEGATE_REDIS_URL"):
        external({"TIDEGATE_REDIS_URL": url}, own_port=1, own_stack_id=None)


def test_stack_env_keeps_any_value(tmp_path: Path) -> None:
    values = {"A": "plain", "B": 'it\'s a \\ "quoted" $HOME #1', "C": "a=b c"}
    envfile.write(State(tmp_path), values)
    assert envfile.read(State(tmp_path)) == values


def _desired(**changes: Any) -> Desired:
    given: dict[str, Any] = {
        "stack_id": "s",
        "ports": Ports(),
        "parts": frozenset({"redis", "ray", "gateway"}),
        "head_cpus": 8,
        "gateway_import_path": "app.gateway.ingress:build",
        "redis_url": None,
    }
    return Desired(**{**given, **changes})


@pytest.mark.parametrize(("inherited", "found"), [({}, "predict"), ({"TIDEGATE_GATEWAY_ANONYMOUS": ""}, "")])
def test_prediction_needs_no_key_unless_the_environment_says_so(
    tmp_path: Path, inherited: dict[str, str], found: str
) -> None:
    secret = envfile.Secrets("password", "key")
    environ = child_environment("ray-head", State(tmp_path), _desired(), secret, inherited)
    assert environ["TIDEGATE_GATEWAY_ANONYMOUS"] == found


def test_stack_env_names_the_scopes_without_a_key(tmp_path: Path) -> None:
    envfile.publish(State(tmp_path), _desired(), envfile.Secrets("password", "key"))
    assert envfile.read(State(tmp_path))["TIDEGATE_GATEWAY_ANONYMOUS"] == "predict"
    envfile.publish(State(tmp_path), _desired(parts=frozenset({"redis"})), envfile.Secrets("password", "key"))
    assert "TIDEGATE_GATEWAY_ANONYMOUS" not in envfile.read(State(tmp_path))


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    desired = _desired(node_cpus=(2, 4), children={"redis": 1})
    desired.write(tmp_path / "desired")
    assert Desired.read(tmp_path / "desired") == desired
    older = json.loads((tmp_path / "desired").read_text())
    del older["releases_import_path"]
    (tmp_path / "desired").write_text(json.dumps(older))
    assert Desired.read(tmp_path / "desired") == desired
    observed = Observed("s", 1, "running", {"redis": Child(3, 4.5, 1, restarts=2)})
    observed.write(tmp_path / "observed")
    assert Observed.read(tmp_path / "observed") == observed
    assert Observed.read(tmp_path / "nothing") is None


def test_deep_state_folder_gets_a_short_run_folder(tmp_path: Path) -> None:
    state = State(tmp_path / ("deep" * 20))
    state.claim()
    state.create()
    short = state.run
    assert len(str(short)) <= LONGEST
    state.create()
    assert state.run == short, "found again"
    state.purge()
    assert not short.exists()


def test_run_folder_without_its_state_folder_is_removed_by_the_next(tmp_path: Path) -> None:
    first, second = (State(tmp_path / (name * 30)) for name in "ab")
    for state in (first, second):
        state.claim()
    first.create()
    lost = first.run
    shutil.rmtree(first.root)
    second.create()
    assert not lost.exists()
    assert second.run.is_dir()
    second.purge()


def test_changed_source_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "tidegate_digest"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").touch()
    deep = package / "inner" / "module.py"
    deep.write_text("one")
    monkeypatch.syspath_prepend(tmp_path)
    first = source_digest("tidegate_digest.inner.module:build")
    deep.with_suffix(".pyc").touch()
    assert source_digest("tidegate_digest:build") == first
    deep.write_text("two")
    assert source_digest("tidegate_digest:build") != first
    with pytest.raises(StackError, match="tidegate_nowhere"):
        source_digest("tidegate_nowhere.module:build")


class FakeDashboard(Dashboard):
    """Serve's side of the dashboard, in memory."""

    def __init__(self, applications: dict[str, Any]) -> None:
        super().__init__("http://127.0.0.1:1")
        self.applications = applications
        self.put: dict[str, Any] | None = None

    def serve(self) -> dict[str, Any]:
        return {"applications": self.applications}

    def put_serve(self, config: dict[str, Any]) -> None:
        self.put = config


def test_declaring_keeps_applications_of_others() -> None:
    declared = {"name": "controller", "route_prefix": None, "import_path": "x:y"}
    dashboard = FakeDashboard(
        {
            "controller": {"status": "RUNNING", "source": "declarative", "deployed_app_config": declared},
            "flights-v1-ab": {"status": "RUNNING", "source": "imperative", "deployed_app_config": None},
        }
    )
    assert declare(dashboard, _desired())
    assert dashboard.put is not None
    assert dashboard.put["applications"] == [declared, *applications(_desired())]


@pytest.mark.parametrize(
    ("status", "changed", "declared"),
    [
        ("RUNNING", {}, False),
        ("DEPLOYING", {}, False),
        ("RUNNING", {"runtime_env": {"env_vars": {"_TIDEGATE_SOURCE": "older"}}}, True),
        ("DEPLOY_FAILED", {}, True),
    ],
)
@pytest.mark.parametrize("name", ["gateway", "releases"])
def test_declaring_twice_declares_once(name: str, status: str, changed: dict[str, Any], declared: bool) -> None:
    running: dict[str, dict[str, Any]] = {
        each["name"]: {"status": "RUNNING", "source": "declarative", "deployed_app_config": each}
        for each in applications(_desired())
    }
    running[name] |= {"status": status, "deployed_app_config": running[name]["deployed_app_config"] | changed}
    dashboard = FakeDashboard(running)
    assert declare(dashboard, _desired()) is declared
    assert dashboard.put is None or dashboard.put["applications"] == applications(_desired())


def test_older_stack_gets_the_releases_application() -> None:
    gateway, releases = applications(_desired())
    running = {"gateway": {"status": "RUNNING", "source": "declarative", "deployed_app_config": gateway}}
    dashboard = FakeDashboard(running)
    assert declare(dashboard, _desired())
    assert dashboard.put is not None
    assert dashboard.put["applications"] == [gateway, releases]
    assert (releases["name"], releases["route_prefix"]) == ("releases", "/releases")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interrupt_that_a_finalizer_drops_is_found() -> None:
    class Pool:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    with Interrupts() as interrupts:
        interrupts.check()
        Pool()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_interrupt_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            interrupts.check()
    finally:
        signal.signal(signal.SIGINT, before)
