"""A version in replicas of its own: a Serve handle, and Serve's failures in the words of ``app.routing``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from ray import serve
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle, DeploymentResponse

from app.routing.attempts import VersionOverloadedError, VersionUnavailableError
from app.serving.batch import DEPLOYMENT, Batch, BatchReply, VersionMetadata

ASK_AGAIN_S = 1.0
SLOW_MODEL = 0.5
"""A model that takes more than this share of a call's time has use for a second call, which waits while
it works on the first. A quicker one has not: the way there and back is what costs, and one call with twice the
requests costs half of it."""
SMOOTHING = 0.1
"""Weight of the newest call in that share."""
SEEN_S = 10.0
"""A replica that has not answered for so long may be gone."""


class DedicatedBackend:
    """The replicas of one Serve application."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._handle_: DeploymentHandle[Any] | None = None
        self._absent_until = 0.0
        self._seen: dict[str, float] = {}
        self._model_share = 1.0  # not known yet

    async def metadata(self) -> VersionMetadata:
        """See :class:`app.gateway.inference.version_backends.VersionBackend`."""
        metadata: VersionMetadata = await self._call(lambda handle: handle.metadata.remote())
        return metadata

    async def send(self, batch: Batch) -> BatchReply:
        """See :class:`app.gateway.inference.version_backends.VersionBackend`."""
        started = time.monotonic()
        reply: BatchReply = await self._call(lambda handle: handle.infer.remote(batch))
        ended = self._seen[reply.replica] = time.monotonic()
        share = min(reply.seconds / max(ended - started, 1e-9), 1.0)
        self._model_share += SMOOTHING * (share - self._model_share)
        return reply

    def calls(self) -> int:
        """One or two for every replica seen within 10 s; a new one is found as soon as Serve picks it."""
        if len(self._seen) > 1:
            now = time.monotonic()
            self._seen = {replica: at for replica, at in self._seen.items() if now - at <= SEEN_S}
        return (2 if self._model_share > SLOW_MODEL else 1) * max(len(self._seen), 1)

    def busy_s(self) -> float:
        """Its replicas look after themselves."""
        return 0.0

    async def close(self) -> None:
        """See :class:`app.gateway.inference.version_backends.VersionBackend`."""

    def _handle(self) -> DeploymentHandle[Any]:
        if self._handle_ is None:
            # Making a handle asks Serve's controller and blocks the loop: once a second for an absent application.
            if time.monotonic() < self._absent_until:
                raise KeyError(f"{self._app} does not exist")
            self._absent_until = time.monotonic() + ASK_AGAIN_S
            self._handle_ = serve.get_deployment_handle(DEPLOYMENT, self._app)
        return self._handle_

    async def _call(self, send: Callable[[Any], DeploymentResponse[Any]]) -> Any:
        try:
            response = send(self._handle())
        except Exception as error:  # a table may outlive its applications: the Ray cluster was lost, Redis was not
            raise VersionUnavailableError(f"{self._app} cannot be asked ({type(error).__name__}: {error})") from error
        try:
            return await response
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or not task.cancelling():  # not us: Ray says so that the replica ended the call
                raise VersionUnavailableError(f"{self._app} cancelled the call") from error
            # A handle call has no deadline of its own and would wait for a replica without end.
            response.cancel()  # type: ignore[no-untyped-call]
            raise
        except BackPressureError as error:
            raise VersionOverloadedError(f"{self._app} has too many requests waiting") from error
        except Exception as error:  # Serve raises Ray's, gRPC's and its own errors, by the way it carries the call
            raise VersionUnavailableError(f"{self._app} is not answering ({type(error).__name__})") from error
