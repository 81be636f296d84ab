"""Steady traffic at the doors of the worker nodes: what a load balancer in front of them would see."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import httpx

from tests.support.background import Background
from tests.support.load import infer_body
from tests.support.processes import ProcessError

PAUSE_S = 0.1
TIMEOUT_S = 20.0
THREADS_A_DOOR = 2
DISTINCT = 97
"""Different numbers and sticky keys, sent in turn."""
OK = httpx.codes.OK


@dataclass(frozen=True, slots=True)
class Sent:
    """One request.

    Attributes:
        problems: what went wrong at the first door, and at the other; none for a request that was answered there.
        seconds: until the last of the answers.
    """

    phase: str
    door: int
    seconds: float
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of the requests of a phase.

    Attributes:
        requests: sent.
        refused: not answered at the first door.
        failed: nor at the other.
        worst_ms: longest answer, milliseconds.
    """

    requests: int = 0
    refused: int = 0
    failed: int = 0
    worst_ms: float = 0.0


class Load(Background):
    """Requests one after the other on every connection; what fails at one door is asked once more at the next.

    Args:
        ports: of the doors, on 127.0.0.1.

    Attributes:
        phase: what requests are counted under that begin from now on.
    """

    def __init__(self, ports: Sequence[int], model: str) -> None:
        self._urls = [f"http://127.0.0.1:{port}/v2/models/{model}/infer" for port in ports]
        self._numbers = itertools.count()
        self._sent: list[Sent] = []
        super().__init__(*[partial(self._run, door) for door in range(len(ports))] * THREADS_A_DOOR)
        self.phase = ""

    def begin_phase(self, phase: str) -> None:
        """Count what begins from now on under ``phase``."""
        self.phase = phase

    def await_answers(self, count: int, timeout_s: float) -> None:
        """Block until so many requests of the present phase were answered.

        Raises:
            ProcessError: they were not in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            seen = tally(self._sent, self.phase)
            if seen.requests - seen.failed >= count:
                return
            if time.monotonic() > deadline:
                raise ProcessError(f"only {seen.requests - seen.failed} of {count} answers within {timeout_s:g} s")
            time.sleep(PAUSE_S)

    @property
    def sent(self) -> list[Sent]:
        """Every request so far."""
        return list(self._sent)

    def _run(self, door: int) -> None:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            while not self._stop.wait(PAUSE_S):
                index = next(self._numbers) % DISTINCT
                phase, started, problems = self.phase, time.monotonic(), []
                for url in (self._urls[door], self._urls[door - 1]):
                    problem = _problem(client, url, index)
                    if not problem:
                        break
                    problems.append(problem)
                self._sent.append(Sent(phase, door, time.monotonic() - started, tuple(problems)))


def tally(sent: Sequence[Sent], phase: str) -> Tally:
    """The requests of a phase. Pure."""
    own = [each for each in list(sent) if each.phase == phase]
    return Tally(
        requests=len(own),
        refused=sum(bool(each.problems) for each in own),
        failed=sum(len(each.problems) > 1 for each in own),
        worst_ms=1e3 * max((each.seconds for each in own), default=0.0),
    )


def _problem(client: httpx.Client, url: str, index: int) -> str:
    """Returns what went wrong; empty when the right number came back."""
    try:
        reply = client.post(url, json=infer_body(index), headers={"x-sticky-key": f"key-{index}"})
    except httpx.HTTPError as error:
        return repr(error)
    if reply.status_code != OK:
        return f"{reply.status_code} {reply.text[:200]}"
    answered = reply.json()["outputs"][0]["data"]
    return "" if answered == [2 * index] else f"{answered} instead of {[2 * index]}"
