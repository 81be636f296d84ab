"""The processes of a run: servers and workers as Ray actors, placed, replaced and ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, NoReturn, TypeVar

import ray
from numpy.typing import NDArray
from ray.exceptions import GetTimeoutError, ObjectLostError, RayActorError, RayError

from app.errors import TidegateError, UnavailableError
from app.training.parameter_server.client import Servers
from app.training.parameter_server.failures import ParameterServerError, reason
from app.training.parameter_server.job import Terms, Work
from app.training.parameter_server.server import Server, ServerProgress
from app.training.parameter_server.stale import StaleServer
from app.training.parameter_server.synchronous import SynchronousServer, settle
from app.training.parameter_server.worker import Worker

T = TypeVar("T")

WAIT_S = 0.2
"""Between two looks at whether the run should stop."""

_ENVIRONMENT = {"env_vars": {"OMP_NUM_THREADS": "1"}}


class ServerLostError(UnavailableError):
    """A server is gone: its range must come from a checkpoint."""


class WorkerLostError(UnavailableError):
    """A worker is gone before it began."""


class StopRequestedError(TidegateError):
    """``stop`` returned True while processes were awaited."""


class ServerGroup:
    """All servers of one life of the parameters: a lost one ends the group. Every call raises ``ServerLostError``
    when one is gone or answers too late."""

    def __init__(self, terms: Terms, node_labels: Mapping[str, str]) -> None:
        kind: type[Server] = SynchronousServer if terms.mode == "synchronous" else StaleServer
        actor = ray.remote(
            num_cpus=0, scheduling_strategy="SPREAD", label_selector=dict(node_labels), runtime_env=_ENVIRONMENT
        )(kind)
        self._terms = terms
        self.handles: list[Any] = [actor.remote(index, terms) for index in range(len(terms.ranges))]
        self._together = Servers(self.handles, terms)

    def start(self, initial: Any, resume: int | None, stop: Callable[[], bool]) -> tuple[int, ...]:
        """Gives every server its range of the object ``initial``, or its checkpoint.

        Returns:
            The servers' process ids.

        Raises:
            ParameterServerError: not started before the deadline; a checkpoint that is not of this run.
            StopRequestedError: ``stop`` said so.
        """
        references = [handle.start.remote(initial, resume) for handle in self.handles]
        try:
            return tuple(_awaited(references, self._terms.deadline_s, stop, f"{len(references)} servers"))
        except RayActorError as error:
            raise ServerLostError from error
        except RayError as error:
            raise ParameterServerError(reason(error)) from error

    def progress(self) -> list[ServerProgress]:
        """Progress of every server."""
        return _answered(lambda: self._together.call("progress"))

    def save(self) -> None:
        """Writes a checkpoint of the applied steps; the workers have ended.

        What they sent before their end may still be on its way, to one server and not to another: it comes too late,
        or the parts would be of different steps and nothing could go on from them.
        """
        _answered(lambda: self._together.call("close"))
        if self._terms.mode == "synchronous":
            _answered(lambda: settle(self._together))
        step = min(min(server.clocks) for server in self.progress())
        _answered(lambda: self._together.call("save", step))

    def parameters(self, into: NDArray[Any]) -> None:
        """All parameters as they are when every worker is done."""
        _answered(lambda: self._together.copy(self._together.call("pull", 0, self._terms.plan.steps), into))

    def end(self) -> None:
        """Ends the processes."""
        end_processes(self.handles)


class WorkerGroup:
    """One worker at each rank; a lost one can be replaced. Processes start while the servers do."""

    def __init__(self, terms: Terms, work: Work, servers: ServerGroup, node_labels: Mapping[str, str]) -> None:
        self._actor = ray.remote(num_cpus=1, label_selector=dict(node_labels), runtime_env=_ENVIRONMENT)(Worker)
        self._terms, self._work, self._servers = terms, ray.put(work), servers
        self._handles = {rank: self._new(rank) for rank in range(terms.workers)}
        self._pids: dict[int, int] = {}
        self._runs: dict[Any, int] = {}

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids by rank."""
        return tuple(self._pids[rank] for rank in sorted(self._pids))

    @property
    def running(self) -> bool:
        """True while a rank is not done."""
        return bool(self._runs)

    def replace(self, ranks: list[int]) -> None:
        """Ends what is left of ``ranks`` and starts new processes in their place."""
        for rank in ranks:
            ray.kill(self._handles[rank])
            self._handles[rank] = self._new(rank)

    def train(self, ranks: list[int], stop: Callable[[], bool]) -> None:
        """Lets ``ranks`` train, as soon as their processes are there.

        Raises:
            ParameterServerError: no room for them on the cluster before the deadline.
            WorkerLostError: one was lost before it began; all of ``ranks`` must be replaced.
            StopRequestedError: ``stop`` said so.
        """
        try:
            waiting = [self._handles[rank].pid.remote() for rank in ranks]
            pids = _awaited(waiting, self._terms.deadline_s, stop, f"{len(ranks)} workers of 1 CPU each")
        except RayActorError as error:
            raise WorkerLostError from error
        except RayError as error:
            raise ParameterServerError(reason(error)) from error
        self._pids.update(zip(ranks, pids, strict=True))
        for rank in ranks:
            self._runs[self._handles[rank].run.remote(self._servers.handles)] = rank

    def wait(self) -> list[int]:
        """Waits a moment for workers that end.

        Returns:
            Ranks that were lost, or whose servers were; those that are done are no longer running.

        Raises:
            ParameterServerError: a worker failed in a way that another process would repeat.
        """
        lost = []
        ended, _ = ray.wait(list(self._runs), num_returns=len(self._runs), timeout=WAIT_S)
        for reference in ended:
            rank = self._runs.pop(reference)
            try:
                if not ray.get(reference, timeout=WAIT_S):
                    lost.append(rank)
            except RayActorError:
                lost.append(rank)
            except RayError as error:
                raise ParameterServerError(f"rank {rank}: {reason(error)}") from error
        return lost

    def end(self) -> None:
        """Ends the processes."""
        end_processes(self._handles.values())

    def _new(self, rank: int) -> Any:
        return self._actor.remote(rank, self._terms, self._work)


def end_processes(handles: Iterable[Any]) -> None:
    """Kills actors; one that cannot be killed keeps none of the others alive."""
    with ExitStack() as ending:
        for handle in handles:
            ending.callback(ray.kill, handle)


def _answered(call: Callable[[], T]) -> T:
    try:
        return call()
    except (RayActorError, ObjectLostError, GetTimeoutError) as error:
        raise ServerLostError from error
    except RayError as error:
        raise ParameterServerError(reason(error)) from error


def _awaited(references: list[Any], deadline_s: float, stop: Callable[[], bool], what: str) -> list[Any]:
    until = time.monotonic() + deadline_s
    while ray.wait(references, num_returns=len(references), timeout=WAIT_S)[1]:
        if stop():
            raise StopRequestedError
        if time.monotonic() > until:
            _no_room(what, deadline_s)
    answers: list[Any] = ray.get(references, timeout=deadline_s)
    return answers


def _no_room(what: str, deadline_s: float) -> NoReturn:
    free = ray.available_resources().get("CPU", 0)  # type: ignore[no-untyped-call]
    raise ParameterServerError(f"{what} did not start within {deadline_s:g} s; the cluster has {free:g} CPUs free")
