"""Waiting requests of one version leave together.

While the version is idle a request leaves in the loop's next turn, alone or with those that came in the same turn.
While as many calls are under way as the version has use for, requests wait, and all that may be mixed leave in the
next call: the wait is the time of a call, and is spent only when the version is busy anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.gateway.inference.inputs import bytes_of
from app.model_spec import ModelSpec
from app.routing.attempts import (
    ModelRaisedError,
    VersionOverloadedError,
    VersionTimedOutError,
    VersionUnavailableError,
)
from app.serving.batch import Batch, BatchReply, ModelFailure, Outputs
from app.serving.model_tensors import Tensors

Send = Callable[[Batch], Awaitable[BatchReply]]
CALL_BYTES = 4 * 1024 * 1024
"""Most bytes of different requests in one call: to put them together is work for the loop that serves all."""

_NONE: Mapping[str, Any] = {}


@dataclass(slots=True, eq=False)
class _QueuedRequest:
    inputs: Tensors
    parameters: Mapping[str, Any]
    rows: int
    queue: deque[_QueuedRequest]
    answer: asyncio.Future[tuple[Outputs, float]]
    sent: bool = False


class Coalescer:
    """The queue of one gateway replica to one version.

    Args:
        send: makes one call; raises :class:`app.routing.attempts.VersionFailedError`.
        caller: name of this gateway replica.
        batch_rows: most rows of different requests in one call.
        calls: calls under way at once; asked for before each.
        max_waiting: requests that may wait or be under way.
        timeout_s: time one call may take.
    """

    def __init__(
        self,
        send: Send,
        *,
        caller: str,
        batch_rows: int,
        calls: Callable[[], int],
        max_waiting: int,
        timeout_s: float,
    ) -> None:
        self._send = send
        self._caller = caller
        self._batch_rows = batch_rows
        self._calls = calls
        self._max_waiting = max_waiting
        self._timeout_s = timeout_s
        self._queues: dict[Hashable, deque[_QueuedRequest]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._ongoing = 0
        self._turn: asyncio.Handle | None = None

    @property
    def ongoing(self) -> int:
        """Requests waiting or under way."""
        return self._ongoing

    async def infer(
        self, spec: ModelSpec, inputs: Tensors, parameters: Mapping[str, Any] = _NONE
    ) -> tuple[Outputs, float]:
        """Outputs of one request, and the seconds that the model took for the call it went with.

        Raises:
            VersionOverloadedError: too many requests wait already.
            ModelRaisedError: the model raised on this request.
            VersionFailedError: the call failed.
        """
        if self._ongoing >= self._max_waiting:
            raise VersionOverloadedError(f"{self._max_waiting} requests wait for version {spec.version} already")
        loop = asyncio.get_running_loop()
        key, rows = _mixable(spec, inputs, parameters, self._batch_rows)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
        waiting = _QueuedRequest(inputs, parameters, rows, queue, loop.create_future())
        queue.append(waiting)
        self._ongoing += 1
        if self._turn is None:
            self._turn = loop.call_soon(self._dispatch)
        try:
            return await waiting.answer
        finally:
            self._ongoing -= 1
            if not waiting.sent:  # given up: what it holds must not wait for a call
                waiting.queue.remove(waiting)

    async def drain(self) -> None:
        """Waits until no request waits or is under way; every call ends by its timeout."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _dispatch(self) -> None:
        self._turn = None
        while self._queues and len(self._under_way) < self._calls():
            together = self._next()
            if together:
                task = asyncio.create_task(self._call(together))
                self._under_way.add(task)

    def _next(self) -> list[_QueuedRequest]:
        """Returns the requests that leave together: those of the kind whose turn it is, while the rows fit."""
        key, queue = next(iter(self._queues.items()))
        del self._queues[key]
        together: list[_QueuedRequest] = []
        rows = size = 0
        while queue:
            waiting = queue[0]
            rows += waiting.rows
            size += bytes_of(waiting.inputs)
            if together and (rows > self._batch_rows or size > CALL_BYTES):
                self._queues[key] = queue  # behind the other kinds
                break
            waiting.sent = True
            together.append(queue.popleft())
        return together

    async def _call(self, together: list[_QueuedRequest]) -> None:
        try:
            batch = self._batch(together)
            async with asyncio.timeout(self._timeout_s):
                reply = await self._send(batch)
            answers = reply.answers(batch.rows)
        except asyncio.CancelledError:
            _fail(together, VersionUnavailableError("the call was cancelled"))
            raise
        except TimeoutError:
            _fail(together, VersionTimedOutError(f"no answer within {self._timeout_s:g} s"))
        except Exception as error:
            _fail(together, error)
        else:
            for waiting, answer in zip(together, answers, strict=True):
                if waiting.answer.done():
                    continue
                if isinstance(answer, ModelFailure):
                    waiting.answer.set_exception(
                        ModelRaisedError(f"the model raised {answer.kind}: {answer.message}")
                    )
                else:
                    waiting.answer.set_result((answer, reply.seconds))
        finally:
            self._under_way.discard(asyncio.current_task())
            if self._queues and self._turn is None:
                self._dispatch()

    def _batch(self, together: list[_QueuedRequest]) -> Batch:
        first = together[0]
        if len(together) == 1:
            return Batch(first.inputs, (first.rows,), first.parameters, self._caller, self._ongoing)
        inputs = {name: np.concatenate([waiting.inputs[name] for waiting in together]) for name in first.inputs}
        rows = tuple([waiting.rows for waiting in together])
        return Batch(inputs, rows, first.parameters, self._caller, self._ongoing)


def _fail(together: list[_QueuedRequest], error: Exception) -> None:
    for waiting in together:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


def _mixable(
    spec: ModelSpec, inputs: Tensors, parameters: Mapping[str, Any], batch_rows: int
) -> tuple[Hashable, int]:
    """Requests of one kind may be mixed: what kind this one is, and how many rows it has.

    One that has no rows to be put beside others (no leading dimension that may vary, or tensors that disagree in it)
    is of its own kind.
    """
    if batch_rows > 1:
        counts = {array.shape[0] if array.ndim else -1 for array in inputs.values()}
        if len(counts) == 1 and 0 < (rows := counts.pop()) < batch_rows and _rows_vary(spec):
            if spec.columns:
                kind: Hashable = tuple(inputs) if len(inputs) < len(spec.inputs) else None
            else:
                kind = tuple([(name, array.dtype.str, array.shape[1:]) for name, array in inputs.items()])
            return ((kind, repr(sorted(parameters.items()))) if parameters else kind), rows
    return object(), 1


def _rows_vary(spec: ModelSpec) -> bool:
    return spec.columns or all(field.shape and field.shape[0] == -1 for field in spec.inputs)
