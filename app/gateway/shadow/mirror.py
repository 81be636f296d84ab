"""Mirrored requests: what the champion was asked, the challenger is asked too, after the reply, unseen by callers.

It must never be felt: the queue, the bytes in it and the requests under way are bounded, and what finds no room is
not mirrored. The challenger is asked once, by its own deadline, past cache, breaker and retry budget; nothing of the
champion's way is used, and its autoscaling sees none of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.errors import DeadlineExceededError, TidegateError
from app.gateway.inference.feature_lookup import FeatureLookup
from app.gateway.inference.inputs import bytes_of, fit, fit_parameters
from app.gateway.inference.request_record import RequestRecord
from app.gateway.inference.version_backends import VersionBackends
from app.gateway.shadow.losses import of_pair
from app.model_spec import ModelSpec
from app.monitoring.samples import LossBuffer
from app.routing.release_context import ReleaseContext
from app.routing.route_table import Route, RouteTable
from app.serving.batch import rows_of
from app.settings import Settings

log = logging.getLogger(__name__)


@dataclass(slots=True)
class MirrorStats:
    """Counts since the start, of the requests whose turn it was to be mirrored.

    Attributes:
        compared: the challenger answered or failed, and the pair was noted down.
        dropped_full: found no room; they count by themselves.
        dropped_late: waited longer than a request may take.
        dropped_over: the release ended meanwhile.
        dropped_stopped: were waiting or under way when the replica ended.
        dropped_broken: the gateway itself failed at them; its log says more.
    """

    compared: int = 0
    dropped_full: int = 0
    dropped_late: int = 0
    dropped_over: int = 0
    dropped_stopped: int = 0
    dropped_broken: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _QueuedMirror:
    release_context: ReleaseContext
    champion: RequestRecord
    size: int
    since: float


class Mirror:
    """The mirror of one gateway replica. All methods belong to one event loop.

    Args:
        tables: route tables by model; a watch keeps them current.
        record: takes the challenger's part, for the event of it.
        draw: uniform from 0 to 1, anew for each request.
    """

    def __init__(
        self,
        settings: Settings,
        tables: Mapping[str, RouteTable],
        versions: VersionBackends,
        features: FeatureLookup,
        losses: LossBuffer,
        record: Callable[[RequestRecord], None],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.stats = MirrorStats()
        self._limits = settings.mirror
        self._timeout_s = settings.routing.attempt_timeout_s
        self._max_rows = settings.gateway.max_rows
        self._tables, self._versions, self._features = tables, versions, features
        self._losses, self._record, self._draw = losses, record, draw
        self._queue: deque[_QueuedMirror] = deque()
        self._queued_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def offer(self, release_context: ReleaseContext, champion: RequestRecord) -> bool:
        """Mirrors a request for which the champion was picked, if it is its turn and there is room.

        Returns:
            Whether it is mirrored, and so counts as a pair.
        """
        if self._draw() >= release_context.mirror:
            return False
        size = _bytes(champion)
        waiting = _QueuedMirror(release_context, champion, size, time.monotonic())
        if self._stopping:
            self.stats.dropped_stopped += 1
            return False
        if len(self._tasks) < self._limits.concurrency:
            task = asyncio.create_task(self._work(waiting))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(self._queue) < self._limits.queue and self._queued_bytes + size <= self._limits.queued_bytes:
            self._queue.append(waiting)
            self._queued_bytes += size
        else:
            self.stats.dropped_full += 1
            return False
        return True

    async def stop(self) -> None:
        """End; what waits or is under way is dropped and counted."""
        self._stopping = True
        self.stats.dropped_stopped += len(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, waiting: _QueuedMirror | None) -> None:
        while waiting is not None:
            try:
                await self._mirror(waiting.release_context, waiting.champion)
            except asyncio.CancelledError:
                self.stats.dropped_stopped += 1
                raise
            except Exception:
                self.stats.dropped_broken += 1
                log.exception("a request to %s could not be mirrored", waiting.champion.call.model)
            waiting = self._next()

    def _next(self) -> _QueuedMirror | None:
        while self._queue:
            waiting = self._queue.popleft()
            self._queued_bytes -= waiting.size
            if time.monotonic() - waiting.since <= self._timeout_s:
                return waiting
            self.stats.dropped_late += 1
        return None

    async def _mirror(self, release_context: ReleaseContext, champion: RequestRecord) -> None:
        call = champion.call
        table = self._tables.get(call.model)
        under_way = table.release_context if table is not None else None
        if (
            table is None
            or under_way is None
            or under_way.release != release_context.release
            or release_context.challenger not in table.apps
        ):
            self.stats.dropped_over += 1
            return
        route = table.route(release_context.challenger)
        challenger = RequestRecord(call, champion.sticky, picked=route.version)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._compute(route, champion, challenger)
            challenger.version, challenger.placement, challenger.weight = route.version, route.placement, route.weight
            challenger.status = 200
        except TimeoutError:
            challenger.status = DeadlineExceededError.status
        except TidegateError as error:
            challenger.status = error.status
        challenger.total_s = time.perf_counter() - started
        if challenger.version is None:
            challenger.failed.append(route.version)
        self._losses.add(release_context.release, of_pair(release_context, champion, challenger))
        self.stats.compared += 1
        self._record(challenger)

    async def _compute(self, route: Route, champion: RequestRecord, challenger: RequestRecord) -> None:
        call = champion.call
        metadata = self._versions.known_metadata(route) or await self._versions.metadata(route)
        spec = metadata.spec
        parameters = fit_parameters(spec, call.parameters)
        if champion.given is not None and champion.spec is not None and _take_the_same(spec, champion.spec):
            # To the letter what the champion got: its rows may be newer by now.
            challenger.given, challenger.features = champion.given, champion.features
        else:
            inputs = fit(spec, call.inputs, None, self._max_rows)  # what no version takes the champion has refused
            challenger.given = inputs
            if spec.feature_views:
                completed = await self._features.complete(spec, inputs)
                challenger.given, challenger.features = completed.inputs, completed.report
        challenger.rows = rows_of(spec, challenger.given)
        challenger.outputs, challenger.version_s = await self._versions.infer(
            route, spec, challenger.given, parameters
        )


def _bytes(champion: RequestRecord) -> int:
    inputs = champion.call.inputs if champion.given is None else champion.given
    return bytes_of(inputs) + sum([array.nbytes for array in (champion.outputs or {}).values()])


def _take_the_same(one: ModelSpec, other: ModelSpec) -> bool:
    return (one.inputs, one.columns, one.features, one.feature_views) == (
        other.inputs,
        other.columns,
        other.features,
        other.feature_views,
    )
