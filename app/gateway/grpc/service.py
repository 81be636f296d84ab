"""The protocol's six calls, as Serve makes them: methods of the deployment, by name.

What HTTP's front reads in headers travels in the call's metadata, under the same names; what it writes in headers, of
replies and of errors, in trailing metadata. A request id may also be the message's ``id``.

A call whose deadline passes, or whose caller goes away, is cancelled by gRPC where it stands, and what it waits for
with it.
"""
# ruff: noqa: N802  (methods have the protocol's names)

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import DecodeError
from ray.serve.grpc_util import RayServegRPCContext

from app.errors import InvalidArgumentError, TidegateError, UnavailableError
from app.gateway.access.admission import Admission
from app.gateway.grpc import tensors
from app.gateway.grpc.messages import CLASSES
from app.gateway.grpc.status import sentence, status_of
from app.gateway.inference.call import InferCall
from app.gateway.inference.dataplane import DataPlane
from app.gateway.protocols.headers import reply_headers
from app.gateway.protocols.pinning import Pinning
from app.gateway.protocols.v2 import response as v2_reply
from app.gateway.protocols.v2.routes import EXTENSIONS, PLATFORM
from app.gateway.request_attributes import ATTRIBUTES, AttributeTable, RequestAttributes

log = logging.getLogger(__name__)

Handler = Callable[["InferenceService", Any, RequestAttributes, RayServegRPCContext], Awaitable[dict[str, Any] | Any]]
Method = Callable[["InferenceService", bytes, RayServegRPCContext], Awaitable[Any]]


def _rpc(handle: Handler) -> Method:
    """``handle``, which takes a message and gives one, as Serve calls it: with bytes. An error that it raises becomes
    the call's status.

    Serve would log an exception that a method raises, and send no metadata with its status; so none is raised here.
    """
    name = handle.__name__
    takes, gives = CLASSES[f"{name}Request"], CLASSES[f"{name}Response"]

    async def call(self: InferenceService, request: bytes, grpc_context: RayServegRPCContext) -> Any:
        try:
            attributes = self._attributes.from_metadata(grpc_context.invocation_metadata())
            return await handle(self, _parsed(takes, request), attributes, grpc_context)
        except TidegateError as error:
            failure = error
        except Exception as error:
            log.exception("a call failed in the gateway itself")
            failure = TidegateError(f"the gateway failed ({type(error).__name__}); its log says more")
        grpc_context.set_code(status_of(failure))
        grpc_context.set_details(sentence(failure))
        grpc_context.set_trailing_metadata(list(failure.headers.items()))
        return gives()

    call.__name__, call.__qualname__, call.__doc__ = name, handle.__qualname__, handle.__doc__
    return call


class InferenceService:
    """The calls over one data plane.

    Args:
        ready: reports if this replica may take traffic.
        release: the server's version.
    """

    def __init__(
        self,
        plane: DataPlane,
        admission: Admission,
        ready: Callable[[], bool],
        release: str,
        attributes: AttributeTable[RequestAttributes] = ATTRIBUTES,
    ) -> None:
        self._plane, self._admission, self._ready, self._release = plane, admission, ready, release
        self._attributes = attributes
        self._pinning = Pinning(plane, admission)

    @_rpc
    async def ServerLive(self, request: Any, attributes: RequestAttributes, context: RayServegRPCContext) -> Any:
        """The process answers."""
        return CLASSES["ServerLiveResponse"](live=True)

    @_rpc
    async def ServerReady(self, request: Any, attributes: RequestAttributes, context: RayServegRPCContext) -> Any:
        """Reports if this replica may take traffic."""
        return CLASSES["ServerReadyResponse"](ready=self._ready())

    @_rpc
    async def ModelReady(self, request: Any, attributes: RequestAttributes, context: RayServegRPCContext) -> Any:
        """Reports if a version answers: the one named, else the one with the most weight. One that is not deployed is
        an error."""
        try:
            await self._plane.spec(request.name, request.version or None)
        except UnavailableError:
            return CLASSES["ModelReadyResponse"](ready=False)
        return CLASSES["ModelReadyResponse"](ready=True)

    @_rpc
    async def ServerMetadata(self, request: Any, attributes: RequestAttributes, context: RayServegRPCContext) -> Any:
        """Name, version and extensions of the server."""
        return CLASSES["ServerMetadataResponse"](name="tidegate", version=self._release, extensions=EXTENSIONS)

    @_rpc
    async def ModelMetadata(self, request: Any, attributes: RequestAttributes, context: RayServegRPCContext) -> Any:
        """Returns inputs and outputs of a model, and its deployed versions, or the one named."""
        spec = await self._plane.spec(request.name, request.version or None)
        return CLASSES["ModelMetadataResponse"](
            name=spec.model,
            versions=[request.version] if request.version else list(self._plane.table(request.name).apps),
            platform=PLATFORM,
            inputs=[v2_reply.metadata(field) for field in spec.inputs],
            outputs=[v2_reply.metadata(field) for field in spec.outputs],
        )

    @_rpc
    async def ModelInfer(self, request: Any, attributes: RequestAttributes, context: RayServegRPCContext) -> Any:
        """Inference by the version that the split picks, or the one named."""
        caller = await self._admission.admit(attributes.authorization)
        pinned = self._pinning.version(request.model_name, caller, attributes, request.model_version or None)
        asked = tensors.decode(request)
        identity = attributes.identity(asked.id)
        reply = await self._plane.infer(
            InferCall(
                request.model_name,
                asked.inputs,
                caller,
                identity,
                pinned=pinned,
                attributes=attributes,
                outputs=asked.outputs,
                parameters=asked.parameters,
            )
        )
        context.set_trailing_metadata(list(reply_headers(reply, identity).items()))
        reply_id = asked.id or identity.request_id
        return tensors.encode(request.model_name, reply.version, reply_id, reply.outputs, raw=asked.binary is None)


def _parsed(kind: Any, request: bytes) -> Any:
    try:
        return kind.FromString(request)
    except DecodeError as error:
        raise InvalidArgumentError(f"not a {kind.DESCRIPTOR.name}: {error}") from error
