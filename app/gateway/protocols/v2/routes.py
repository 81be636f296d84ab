"""The Open Inference Protocol (V2) over HTTP: health, metadata and inference.

Thin: bytes in, the data plane, bytes out. A sticky key travels in the header ``x-sticky-key``, a request id in
``x-request-id`` or the body's ``id``, a version that must answer in the path or in ``x-model-version``. The version
that answered stands in the body and in the reply's ``x-model-version``, versions that failed first in
``x-failed-versions``.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter
from starlette.routing import Route

from app.errors import UnavailableError
from app.gateway.errors import OF_A_MODEL
from app.gateway.front import FrontContext
from app.gateway.http.endpoint import Endpoint, Exchange, HttpReply, compressed, failed
from app.gateway.inference.call import InferCall
from app.gateway.protocols.headers import reply_headers
from app.gateway.protocols.pinning import Pinning
from app.gateway.protocols.v2 import request as v2_request
from app.gateway.protocols.v2 import response as v2_reply
from app.gateway.protocols.v2.binary import LENGTH_HEADER
from app.model_spec import ModelSpec
from app.web.openapi_parts import responses

PLATFORM = "mlflow_pyfunc"
EXTENSIONS = ["binary_tensor_data"]

_LENGTH = LENGTH_HEADER.lower().encode()


def raw_routes(context: FrontContext) -> list[Route]:
    """The inference routes."""
    plane, admission, table = context.plane, context.admission, context.attributes
    pinning, max_body_bytes = Pinning(plane, admission), context.settings.gateway.max_body_bytes

    async def infer(exchange: Exchange) -> HttpReply:
        attributes = table.from_headers(exchange.headers)
        caller = await admission.admit(attributes.authorization)
        body = await exchange.body(max_body_bytes)
        asked = v2_request.decode(body, exchange.header(_LENGTH))
        identity = attributes.identity(asked.id)
        model = exchange.path["model"]
        pinned = pinning.version(model, caller, attributes, exchange.path.get("version"))
        reply = await plane.infer(
            InferCall(
                model,
                asked.inputs,
                caller,
                identity,
                pinned=pinned,
                attributes=attributes,
                outputs=asked.outputs,
                parameters=asked.parameters,
            )
        )
        headers = reply_headers(reply, identity)
        reply_id = asked.id or identity.request_id
        if binary := asked.binary_among(reply.outputs):
            body, length = v2_reply.encode_binary(model, reply.version, reply_id, reply.outputs, binary)
            headers[LENGTH_HEADER] = str(length)
            answer = HttpReply(body, media_type="application/octet-stream", headers=headers)
        else:
            answer = HttpReply(v2_reply.encode(model, reply.version, reply_id, reply.outputs), headers=headers)
        return await compressed(exchange, answer)

    endpoint = Endpoint(infer, failed)
    return [
        Route(f"/v2/models/{{model}}{version}/infer", endpoint, methods=["POST"])
        for version in ("", "/versions/{version}")
    ]


def router(context: FrontContext) -> APIRouter:
    """Health and metadata."""
    plane, release = context.plane, version("tidegate")
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @routes.get("")
    @routes.get(
        "/", include_in_schema=False
    )  # the protocol's REST description has it so, its text and Triton without
    async def server_metadata() -> dict[str, Any]:
        return {"name": "tidegate", "version": release, "extensions": EXTENSIONS}

    @routes.get("/health/live")
    async def server_live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/health/ready", responses=responses((UnavailableError,)))
    async def server_ready() -> dict[str, bool]:
        if not context.ready():
            raise UnavailableError("route tables have not been read yet")
        return {"ready": True}

    @routes.get("/models/{model}", responses=responses(OF_A_MODEL))
    async def model_metadata(model: str) -> dict[str, Any]:
        return _metadata(await plane.spec(model), list(plane.table(model).apps))

    @routes.get("/models/{model}/ready", responses=responses(OF_A_MODEL))
    async def model_ready(model: str) -> dict[str, Any]:
        spec = await plane.spec(model)
        return {"name": model, "version": spec.version, "ready": True}

    @routes.get("/models/{model}/versions/{version}", responses=responses(OF_A_MODEL))
    async def version_metadata(model: str, version: str) -> dict[str, Any]:
        return _metadata(await plane.spec(model, version), [version])

    @routes.get("/models/{model}/versions/{version}/ready", responses=responses(OF_A_MODEL))
    async def version_ready(model: str, version: str) -> dict[str, Any]:
        await plane.spec(model, version)
        return {"name": model, "version": version, "ready": True}

    return routes


def _metadata(spec: ModelSpec, versions: list[str]) -> dict[str, Any]:
    return {
        "name": spec.model,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [v2_reply.metadata(field) for field in spec.inputs],
        "outputs": [v2_reply.metadata(field) for field in spec.outputs],
    }
