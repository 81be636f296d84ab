"""The state of every part of a stack."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cluster.local import envfile, health, processes
from cluster.local.errors import StackError
from cluster.local.health import Health, PartStatus
from cluster.local.listeners import LOOPBACK, listener
from cluster.local.programs import RAY_HEAD, node_name
from cluster.local.records import Desired, Observed
from cluster.local.state import State


def status(state_dir: Path) -> list[PartStatus]:
    """Returns each part of the stack in ``state_dir``; empty where none was started or ``down`` has ended it."""
    state = State(Path(os.path.abspath(state_dir)))  # noqa: PTH100  (keeps links)
    desired = Desired.read(state.desired_file)
    if desired is None:
        return []
    observed = Observed.read(state.observed_file)
    rows = [_supervisor(state, desired, observed)]
    password = envfile.read(state).get("TIDEGATE_REDIS_PASSWORD")

    def add(name: str, address: str, check: Callable[[], Health], pid: int | None) -> None:
        try:
            found = check()
        except StackError as error:
            found = Health(False, detail=str(error))
        child = observed.children.get(name) if observed else None
        detail = found.detail
        if child is not None and child.state != "running":
            detail = f"{child.state}: {child.reason}"
        elif child is not None and child.restarts and found.healthy:
            detail = f"restarted {child.restarts} times"
        rows.append(PartStatus(name, address, pid, found.healthy, found.version, detail))

    def pid(name: str) -> int | None:
        child = observed.children.get(name) if observed else None
        return child.pid if child is not None and child.state == "running" else None

    if "redis" in desired.parts:
        add("redis", desired.redis_address, partial(health.redis_health, desired, password), pid("redis"))
    if "mlflow" in desired.parts:
        add("mlflow", health.mlflow_url(desired), partial(health.mlflow_health, desired), pid("mlflow"))
    if "ray" in desired.parts:
        gcs = f"{LOOPBACK}:{desired.ports.gcs}"
        add(RAY_HEAD, gcs, partial(health.head_health, desired), pid(RAY_HEAD))
        for index, _ in enumerate(desired.node_cpus):
            name = node_name(index)
            add(name, LOOPBACK, partial(health.node_health, desired, name), pid(name))
        url, check = health.dashboard_url(desired), partial(health.dashboard_health, desired)
        add("dashboard", url, check, _listening(desired.ports.dashboard))
    if "gateway" in desired.parts:
        url, check = health.gateway_url(desired), partial(health.gateway_health, desired)
        add("gateway", url, check, _listening(desired.ports.gateway))
        url, check = health.releases_url(desired), partial(health.releases_health, desired)
        add("releases", url, check, _listening(desired.ports.gateway))
    return rows


def _supervisor(state: State, desired: Desired, observed: Observed | None) -> PartStatus:
    alive = observed and processes.supervisor(observed.pid, desired.stack_id)
    if observed is None or not alive:
        return PartStatus("supervisor", str(state.root), None, False, "", "not running; `up` starts anew")
    detail = "" if observed.phase == "running" else observed.phase
    return PartStatus("supervisor", str(state.root), observed.pid, observed.phase == "running", "", detail)


def _listening(port: int) -> int | None:
    found = listener(port)
    return found.pid if found else None
