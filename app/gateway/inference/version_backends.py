"""The backends of all deployed versions, with the requests that wait for each."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from app.gateway.inference.coalescer import Coalescer
from app.gateway.inference.dedicated import DedicatedBackend
from app.gateway.inference.inline import InlineBackend
from app.model_spec import ModelSpec
from app.routing.route_table import Route, RouteTable
from app.serving.batch import Batch, BatchReply, Outputs, VersionMetadata
from app.serving.model_tensors import Tensors
from app.settings import Settings

log = logging.getLogger(__name__)


class VersionBackend(Protocol):
    """The place where a version computes: replicas of its own, or a thread of the gateway replica."""

    async def metadata(self) -> VersionMetadata:
        """Returns the version's metadata.

        Raises:
            VersionFailedError: it does not answer.
        """

    async def send(self, batch: Batch) -> BatchReply:
        """One call.

        Raises:
            VersionFailedError: it gave no answer.
        """

    def calls(self) -> int:
        """Returns the number of calls that it has use for at once."""

    def busy_s(self) -> float:
        """Returns the seconds that the present call into the model has lasted; 0 where it runs elsewhere."""

    async def close(self) -> None:
        """Frees what the backend holds."""


class _VersionQueue:
    """The backend of one version, with the requests that wait for it."""

    def __init__(self, backend: VersionBackend) -> None:
        self.backend = backend
        self.metadata: VersionMetadata | None = None
        self.coalescer: Coalescer | None = None

    async def close(self) -> None:
        """Closes the backend once the last request is through."""
        if self.coalescer is not None:
            await self.coalescer.drain()
        await self.backend.close()


RETRY_LOAD_S = 10.0
"""Time until a version that could not be loaded inline is tried again, seconds."""


class VersionBackends:
    """The backends of every deployed version, by application name, as one gateway replica reaches them.

    Args:
        caller: name of this gateway replica.
        dedicated, inline: make the backends; tests bring their own.
    """

    def __init__(
        self,
        settings: Settings,
        caller: str,
        dedicated: Callable[[str], VersionBackend] = DedicatedBackend,
        inline: Callable[[str, str, Settings], VersionBackend] = InlineBackend,
    ) -> None:
        self._settings = settings
        self._caller = caller
        self._dedicated, self._inline = dedicated, inline
        self._queues: dict[str, _VersionQueue] = {}
        self._inline_queues: dict[str, _VersionQueue] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._retry_at: dict[str, float] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def known_metadata(self, route: Route) -> VersionMetadata | None:
        """The version's metadata, if it has been read before."""
        queue = self._inline_queues.get(route.app) or self._queues.get(route.app)
        return queue.metadata if queue is not None else None

    async def metadata(self, route: Route) -> VersionMetadata:
        """Returns the version's metadata; it is read once.

        Raises:
            VersionFailedError: it does not answer.
        """
        return await self._metadata(self._queue(route))

    async def infer(
        self, route: Route, spec: ModelSpec, inputs: Tensors, parameters: Mapping[str, Any]
    ) -> tuple[Outputs, float]:
        """Outputs of the version behind ``route``, and the seconds that the model took.

        Raises:
            VersionFailedError: it gave none.
        """
        queue = self._queue(route)
        coalescer = queue.coalescer
        if coalescer is None:
            metadata = await self._metadata(queue)
            coalescer = queue.coalescer
            if coalescer is None:
                coalescer = queue.coalescer = self._coalescer(queue.backend, metadata)
        return await coalescer.infer(spec, inputs, parameters)

    def apply_placements(self, model: str, table: RouteTable) -> bool:
        """Starts to load what ``table`` places inline. Returns True where every version is where it should be."""
        wanted = [route for route in table.routes if route.placement == "inline"]
        for route in wanted:
            if (
                route.app not in self._inline_queues
                and route.app not in self._loading
                and time.monotonic() >= self._retry_at.get(route.app, 0.0)
            ):
                self._loading[route.app] = asyncio.create_task(self._load(model, route))
        for route in table.routes:
            if route.placement != "inline" and (gone := self._inline_queues.pop(route.app, None)) is not None:
                self._close(gone)
        return all(route.app in self._inline_queues for route in wanted)

    async def loaded(self, timeout_s: float) -> None:
        """Waits for what is being loaded, at most ``timeout_s`` seconds; the loading goes on."""
        if self._loading:
            await asyncio.wait(self._loading.values(), timeout=timeout_s)

    def keep_only(self, apps: Collection[str]) -> None:
        """Forgets applications that are in no route table."""
        for queues in (self._queues, self._inline_queues):
            for gone in queues.keys() - set(apps):
                self._close(queues.pop(gone))

    def ongoing(self) -> dict[str, int]:
        """Requests waiting or under way, by application."""
        queues = {**self._queues, **self._inline_queues}
        return {app: queue.coalescer.ongoing for app, queue in queues.items() if queue.coalescer is not None}

    def busy_s(self) -> float:
        """Returns the seconds that the longest present call into an inline model has lasted."""
        return max((queue.backend.busy_s() for queue in self._inline_queues.values()), default=0.0)

    async def close(self) -> None:
        """Closes every backend."""
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)
        self.keep_only(())
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _queue(self, route: Route) -> _VersionQueue:
        if route.placement == "inline" and (loaded := self._inline_queues.get(route.app)) is not None:
            return loaded
        found = self._queues.get(route.app)
        if found is None:
            found = self._queues[route.app] = _VersionQueue(self._dedicated(route.app))
        return found

    async def _metadata(self, queue: _VersionQueue) -> VersionMetadata:
        metadata = queue.metadata
        if metadata is None:
            metadata = queue.metadata = await queue.backend.metadata()
        return metadata

    def _coalescer(self, backend: VersionBackend, metadata: VersionMetadata) -> Coalescer:
        return Coalescer(
            backend.send,
            caller=self._caller,
            batch_rows=metadata.batch_rows,
            calls=backend.calls,
            max_waiting=metadata.max_waiting,
            timeout_s=self._settings.routing.attempt_timeout_s,
        )

    async def _load(self, model: str, route: Route) -> None:
        queue = _VersionQueue(self._inline(model, route.version, self._settings))
        try:
            await self._metadata(queue)
        except asyncio.CancelledError:
            await queue.close()
            raise
        except Exception as error:
            self._retry_at[route.app] = time.monotonic() + RETRY_LOAD_S
            log.warning("version %s of %s cannot be loaded here: %s", route.version, model, error)
            await queue.close()
        else:
            self._retry_at.pop(route.app, None)
            self._inline_queues[route.app] = queue
            log.info("version %s of %s is inline", route.version, model)
        finally:
            del self._loading[route.app]

    def _close(self, queue: _VersionQueue) -> None:
        task = asyncio.create_task(queue.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
