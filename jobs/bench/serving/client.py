"""The benchmark's side of the load process."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType

import msgspec

from jobs.bench.children import ServerError, clean_environment, die_with_parent
from jobs.bench.serving.load import REPLY_TIMEOUT_S, Burst, Order, Plan
from jobs.bench.serving.v2_request import Target

_LOOK_S = 0.5
MAX_REQUEST_S = 0.2
"""Slowest mean time per request that a burst of so many requests is waited for."""


class Client:
    """A load process with its connections open, for the block's duration."""

    def __init__(self, target: Target, connections: int) -> None:
        self._plan = Plan(target, connections)

    def __enter__(self) -> Client:
        self._process = subprocess.Popen(
            (sys.executable, "-m", "jobs.bench.serving.load_process"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_environment(),
            preexec_fn=die_with_parent,
        )
        self._tell(json.dumps(asdict(self._plan)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def burst(self, order: Order, look: Callable[[], object] = lambda: None) -> Burst:
        """Run a burst; ``look`` is called twice a second meanwhile.

        Raises:
            ServerError: the load process gave up.
        """
        allowed = order.seconds if order.seconds is not None else (order.requests or 0) * MAX_REQUEST_S
        deadline = time.monotonic() + allowed + 2 * REPLY_TIMEOUT_S
        self._tell(json.dumps(asdict(order)))
        out = self._process.stdout
        assert out is not None
        while not select.select([out], [], [], _LOOK_S)[0]:
            look()
            if time.monotonic() > deadline:
                raise ServerError(f"{self._plan.target.path}: a burst of {order} did not end in time")
        line = out.readline()
        if not line:
            raise ServerError(f"{self._plan.target.path}: the load process gave up; its last lines are above")
        return msgspec.json.decode(line, type=Burst)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ServerError(
                f"{self._plan.target.path}: the load process gave up; its last lines are above"
            ) from None
