"""The versions as the gateway sees them: a handle each, and Serve's failures in the words of ``app.routing``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Any

from numpy.typing import NDArray
from ray import serve
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle, DeploymentResponse

from app.registry import ModelSpec
from app.routing.attempts import ModelFailedError, OverloadedError, UnavailableError
from app.serving.application import DEPLOYMENT, ModelFailure, VersionReplica
from app.serving.tensors import Tensors

ASK_AGAIN_S = 1.0


class Versions:
    """Handles to version applications, and what each version takes and gives, kept by application name."""

    def __init__(self) -> None:
        self._handles: dict[str, DeploymentHandle[VersionReplica]] = {}
        self._specs: dict[str, ModelSpec] = {}
        self._absent: dict[str, float] = {}

    def known_spec(self, app: str) -> ModelSpec | None:
        """The specification, if it has been read before."""
        return self._specs.get(app)

    async def spec(self, app: str) -> ModelSpec:
        """What the version behind ``app`` takes and gives; asked for once.

        Raises:
            VersionFailedError: it does not answer.
        """
        found = self._specs.get(app)
        if found is None:
            found = self._specs[app] = await self._ask(app, lambda handle: handle.describe.remote())
        return found

    async def infer(self, app: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Outputs of the version behind ``app``.

        Raises:
            VersionFailedError: it gave none.
        """
        answer: dict[str, NDArray[Any]] | ModelFailure = await self._ask(
            app, lambda handle: handle.infer.remote(inputs)
        )
        if isinstance(answer, ModelFailure):
            raise ModelFailedError(f"the model raised {answer.kind}: {answer.message}")
        return answer

    def keep_only(self, apps: Collection[str]) -> None:
        """Forget applications that are in no route table."""
        for gone in self._handles.keys() - set(apps):
            del self._handles[gone]
            self._specs.pop(gone, None)
        self._absent = {app: until for app, until in self._absent.items() if app in apps}

    def _handle(self, app: str) -> DeploymentHandle[VersionReplica]:
        found = self._handles.get(app)
        if found is None:
            # Making a handle asks Serve's controller and blocks the loop: once a second for an absent application.
            absent = self._absent.get(app)
            if absent is not None and time.monotonic() < absent:
                raise KeyError(f"{app} does not exist")
            self._absent[app] = time.monotonic() + ASK_AGAIN_S
            found = self._handles[app] = serve.get_deployment_handle(DEPLOYMENT, app)
            del self._absent[app]
        return found

    async def _ask(self, app: str, send: Callable[[Any], DeploymentResponse[Any]]) -> Any:
        try:
            response = send(self._handle(app))
        except Exception as error:  # a table may outlive its applications: the Ray cluster was lost, Redis was not
            raise UnavailableError(f"{app} cannot be asked ({type(error).__name__}: {error})") from error
        try:
            return await response
        except asyncio.CancelledError:
            # A handle call has no deadline of its own and would wait for a replica for ever.
            response.cancel()  # type: ignore[no-untyped-call]
            raise
        except BackPressureError as error:
            raise OverloadedError(f"{app} has too many requests waiting") from error
        except Exception as error:  # Serve raises Ray's, gRPC's and its own errors, by the way it carries the call
            raise UnavailableError(f"{app} is not answering ({type(error).__name__})") from error
