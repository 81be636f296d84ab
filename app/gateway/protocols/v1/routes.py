"""KServe's V1 protocol: bodies to arrays and back, and its routes.

Source: "V1 Inference Protocol" (kserve.github.io, Data Plane), which took its bodies over from TensorFlow Serving's
row format. Here, too, ``{"b64": "…"}`` is a binary value. One extension: ``parameters``, as V2 has them. There are no
explainers.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.routing import Route

from app.errors import InvalidArgumentError
from app.gateway.access.admission import Admission
from app.gateway.errors import OF_A_MODEL
from app.gateway.http.endpoint import Answer, Endpoint, Exchange, compressed, failed
from app.gateway.inference.call import InferCall
from app.gateway.inference.dataplane import DataPlane
from app.gateway.protocols import json_tensors as json_arrays
from app.gateway.protocols.headers import PIN_HEADER, STICKY_HEADER, identity_of, reply_headers
from app.gateway.protocols.json_tensors import Arrays
from app.gateway.protocols.pinning import Pinning
from app.model_spec import ModelSpec
from app.serving.batch import Outputs
from app.web.openapi_parts import responses


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    instances: list[Any] | msgspec.UnsetType = msgspec.UNSET
    inputs: Any = msgspec.UNSET
    parameters: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(_Request)


class LiveBody(BaseModel):
    """What KServe's client asks for."""

    status: Literal["alive"] = "alive"


class ModelsBody(BaseModel):
    """The models that are served here."""

    models: list[str]


class ReadyBody(BaseModel):
    """A model that is ready."""

    name: str
    ready: bool


def decode(spec: ModelSpec, body: bytes) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and parameters from a body.

    Raises:
        InvalidArgumentError: not JSON, not one of instances and inputs, or data that is neither rows nor columns.
    """
    try:
        request = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidArgumentError(f"not a V1 inference request: {error}") from error
    given = [name for name in ("instances", "inputs") if getattr(request, name) is not msgspec.UNSET]
    if len(given) != 1:
        raise InvalidArgumentError(
            f"the body has {' and '.join(given) or 'no data'}; accepted is one of instances and inputs"
        )
    if isinstance(request.instances, list):
        return json_arrays.from_instances(spec, request.instances), request.parameters
    return json_arrays.from_inputs(spec, request.inputs), request.parameters


def encode(outputs: Outputs) -> bytes:
    """A reply's body: one prediction per row, the value of the only output or an object of all outputs.

    Raises:
        InvalidArgumentError: the outputs do not have one value per row, so that V1 cannot write them.
    """
    lengths = {array.shape[0] if array.ndim else None for array in outputs.values()}
    if len(lengths) != 1 or None in lengths:
        shapes = ", ".join(f"{name}: {list(array.shape)}" for name, array in outputs.items())
        raise InvalidArgumentError(f"V1 has one prediction per row; the outputs have the shapes {shapes}: ask by V2")
    written = {name: json_arrays.nested(array, _base64) for name, array in outputs.items()}
    predictions = json_arrays.records(written) if len(written) > 1 else next(iter(written.values()))
    return msgspec.json.encode({"predictions": predictions})


def hot_routes(plane: DataPlane, admission: Admission, max_body_bytes: int) -> list[Route]:
    """The inference route."""
    pinning = Pinning(plane, admission)

    async def predict(exchange: Exchange) -> Answer:
        authorization = exchange.header(b"authorization")
        caller = await admission.enter(authorization)
        body = await exchange.body(max_body_bytes)
        model = exchange.path["model"]
        pinned = pinning.version(model, caller, authorization, exchange.header(PIN_HEADER))
        inputs, parameters = decode(await plane.spec(model, pinned), body)
        identity = identity_of(exchange)
        key = exchange.header(STICKY_HEADER)
        reply = await plane.infer(InferCall(model, inputs, caller, identity, pinned, key, parameters=parameters))
        return await compressed(exchange, Answer(encode(reply.outputs), headers=reply_headers(reply, identity)))

    return [Route("/v1/models/{model}:predict", Endpoint(predict, failed), methods=["POST"])]


def router(plane: DataPlane) -> APIRouter:
    """Which models there are, and whether one is ready."""
    routes = APIRouter(tags=["KServe V1"])

    @routes.get("/")
    async def live() -> LiveBody:
        """That the server lives."""
        return LiveBody()

    @routes.get("/v1/models")
    async def models() -> ModelsBody:
        """The models that have a route table."""
        return ModelsBody(models=plane.models())

    @routes.get("/v1/models/{model}", responses=responses(OF_A_MODEL))
    async def ready(model: str) -> ReadyBody:
        """Whether a version of the model answers."""
        await plane.spec(model)
        return ReadyBody(name=model, ready=True)

    return routes


def _base64(value: bytes) -> dict[str, str]:
    return {json_arrays.BASE64_KEY: base64.b64encode(value).decode("ascii")}
