"""The parts of a stack in the order of their needs, each waited for until it is healthy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import httpx

from cluster.local import gateway, health
from cluster.local.dashboard import Dashboard
from cluster.local.envfile import Secrets
from cluster.local.errors import StackError
from cluster.local.health import Health
from cluster.local.listeners import LOOPBACK
from cluster.local.programs import RAY_HEAD, node_name
from cluster.local.records import Desired, Observed
from cluster.local.reporter import Reporter
from cluster.local.state import State

POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Task:
    """The start of one part. ``process`` is the supervisor's name for what must not die meanwhile, if it has one."""

    part: str
    address: str
    check: Callable[[], Health]
    process: str | None = None
    needs: frozenset[str] = frozenset()
    begin: Callable[[], Health] | None = None
    """Called until it is healthy, before the first ``check``."""


class DesiredFile:
    """``stack.json`` in memory, for the one process that may write it."""

    def __init__(self, state: State, desired: Desired) -> None:
        self._state = state
        self.desired = desired

    def request_start(self, process: str) -> None:
        """Have the supervisor run ``process``, again if it has given up on it."""
        observed = Observed.read(self._state.observed_file)
        known = observed.children.get(process) if observed and observed.stack_id == self.desired.stack_id else None
        attempt = self.desired.children.get(process, 0)
        if attempt == 0 or (known is not None and known.state == "failed" and known.attempt >= attempt):
            children = {**self.desired.children, process: attempt + 1}
            self.desired = replace(self.desired, children=children)
            self.desired.write(self._state.desired_file)

    def failure(self, process: str) -> str | None:
        """Returns the reason why the supervisor has given up on ``process``, or ``None``."""
        observed = Observed.read(self._state.observed_file)
        if observed is None or observed.stack_id != self.desired.stack_id:
            return None
        known = observed.children.get(process)
        if known is None or known.state != "failed" or known.attempt < self.desired.children.get(process, 0):
            return None
        return f"{process} {known.reason}\n{self._state.log_tail(process)}"


def tasks(desired_file: DesiredFile, secret: Secrets) -> list[Task]:
    """Returns the tasks that bring the desired processes up."""
    desired = desired_file.desired
    found = []
    if "redis" in desired.parts:
        own = None if desired.redis_url else "redis"
        check = partial(health.redis_health, desired, secret.redis_password)
        found.append(Task("redis", desired.redis_address, check, own))
    if "mlflow" in desired.parts:
        found.append(Task("mlflow", health.mlflow_url(desired), partial(health.mlflow_health, desired), "mlflow"))
    if "ray" in desired.parts:
        address = f"{LOOPBACK}:{desired.ports.gcs}, dashboard {health.dashboard_url(desired)}"
        found.append(Task(RAY_HEAD, address, partial(health.head_health, desired), RAY_HEAD))
    for index, cpus in enumerate(desired.node_cpus):
        name = node_name(index)
        check = partial(health.node_health, desired, name)
        found.append(Task(name, f"{LOOPBACK}, {cpus} CPUs", check, name, frozenset({RAY_HEAD})))
    if "gateway" in desired.parts:
        needs = frozenset({"redis", "mlflow", RAY_HEAD} & {task.part for task in found})
        check = partial(health.gateway_health, desired)
        begin = partial(_declare, desired)
        found.append(Task("gateway", health.gateway_url(desired), check, RAY_HEAD, needs, begin))
        releases = partial(health.releases_health, desired)
        found.append(Task("releases", health.releases_url(desired), releases, RAY_HEAD, needs | {"gateway"}))
    return found


def bring_up(
    todo: Sequence[Task],
    desired_file: DesiredFile,
    timeout_s: float,
    reporter: Reporter,
    stop_reason: Callable[[], str | None],
) -> None:
    """Begin each task as soon as its needs are met and wait until all are healthy.

    ``stop_reason`` returns why waiting has become pointless, or ``None``.

    Raises:
        StackError: a part failed, or was not healthy ``timeout_s`` after its own start.
    """
    since: dict[str, float] = {}
    begun: set[str] = set()
    done: set[str] = set()
    while len(done) < len(todo):
        unhealthy = {}
        for task in todo:
            if task.part in done or not task.needs <= done:
                continue
            if task.part not in since:
                since[task.part] = time.monotonic()
                if task.process:
                    desired_file.request_start(task.process)
            if task.begin is None or task.part in begun:
                found = task.check()
            elif (found := task.begin()).healthy:
                begun.add(task.part)
                found = task.check()
            elapsed = time.monotonic() - since[task.part]
            if found.healthy:
                done.add(task.part)
                reporter.ready(task.part, task.address, elapsed, found.version)
                continue
            failed = stop_reason() or (task.process and desired_file.failure(task.process))
            if failed:
                raise StackError(failed)
            if elapsed > timeout_s:
                late = f"{task.part} at {task.address} is not healthy after {elapsed:.0f} s"
                raise StackError(f"{late}: {found.detail}")
            unhealthy[task.part] = found.detail
        if unhealthy:
            reporter.waiting(unhealthy)
            time.sleep(POLL_S)


def _declare(desired: Desired) -> Health:
    """Declare gateway and releases; Serve's side of the dashboard may still be starting.

    Raises:
        StackError: Serve refuses the declaration.
    """
    try:
        with Dashboard(health.dashboard_url(desired)) as dashboard:
            gateway.declare(dashboard, desired)
    except httpx.HTTPStatusError as error:
        said = error.response.text.strip()[-500:]
        if error.request.method == "PUT" and error.response.is_client_error:
            raise StackError(f"Serve refuses gateway and releases: {said}") from None
        return Health(False, detail=said)
    except httpx.HTTPError as error:
        return Health(False, detail=str(error) or type(error).__name__)
    return Health(True)
