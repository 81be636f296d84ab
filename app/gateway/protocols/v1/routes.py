"""KServe's V1 protocol: bodies to arrays and back, and its routes.

Source: "V1 Inference Protocol" (kserve.github.io, Data Plane), which took its bodies over from TensorFlow Serving's
row format. Here, too, ``{"b64": "…"}`` is a binary value. One extension: ``parameters``, as V2 has them. There are no
explainers.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.routing import Route

from app.errors import InvalidArgumentError
from app.gateway.errors import OF_A_MODEL
from app.gateway.front import FrontContext
from app.gateway.http.endpoint import Endpoint, Exchange, HttpReply, compressed, failed
from app.gateway.inference.call import InferCall
from app.gateway.protocols import json_tensors
from app.gateway.protocols.body_fields import COLUMNS, MODEL_PARAMETERS, ROWS
from app.gateway.protocols.headers import reply_headers
from app.gateway.protocols.json_tensors import Arrays
from app.gateway.protocols.pinning import Pinning
from app.model_spec import ModelSpec
from app.serving.batch import Outputs
from app.web.openapi_parts import responses


class V1Request(msgspec.Struct, forbid_unknown_fields=True):
    """A request of KServe's V1 protocol."""

    instances: Annotated[list[Any] | msgspec.UnsetType, ROWS] = msgspec.UNSET
    inputs: Annotated[Any, COLUMNS] = msgspec.UNSET
    parameters: Annotated[dict[str, Any], MODEL_PARAMETERS] = {}


_decoder = msgspec.json.Decoder(V1Request)


class LiveBody(BaseModel):
    """The reply that KServe's client expects."""

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
        return json_tensors.from_instances(spec, request.instances), request.parameters
    return json_tensors.from_inputs(spec, request.inputs), request.parameters


def encode(outputs: Outputs) -> bytes:
    """A reply's body: one prediction per row, the value of the only output or an object of all outputs.

    Raises:
        InvalidArgumentError: the outputs do not have one value per row, so that V1 cannot write them.
    """
    lengths = {array.shape[0] if array.ndim else None for array in outputs.values()}
    if len(lengths) != 1 or None in lengths:
        shapes = ", ".join(f"{name}: {list(array.shape)}" for name, array in outputs.items())
        raise InvalidArgumentError(f"V1 has one prediction per row; the outputs have the shapes {shapes}: ask by V2")
    written = {name: json_tensors.nested(array, _base64) for name, array in outputs.items()}
    predictions = json_tensors.records(written) if len(written) > 1 else next(iter(written.values()))
    return msgspec.json.encode({"predictions": predictions})


def raw_routes(context: FrontContext) -> list[Route]:
    """The inference route."""
    plane, admission, table = context.plane, context.admission, context.attributes
    pinning, max_body_bytes = Pinning(plane, admission), context.settings.gateway.max_body_bytes

    async def predict(exchange: Exchange) -> HttpReply:
        attributes = table.from_headers(exchange.headers)
        caller = await admission.admit(attributes.authorization)
        body = await exchange.body(max_body_bytes)
        model = exchange.path["model"]
        pinned = pinning.version(model, caller, attributes)
        inputs, parameters = decode(await plane.spec(model, pinned), body)
        identity = attributes.identity()
        reply = await plane.infer(
            InferCall(model, inputs, caller, identity, pinned, attributes, parameters=parameters)
        )
        return await compressed(exchange, HttpReply(encode(reply.outputs), headers=reply_headers(reply, identity)))

    return [Route("/v1/models/{model}:predict", Endpoint(predict, failed), methods=["POST"])]


def router(context: FrontContext) -> APIRouter:
    """The list of models, and their readiness."""
    plane = context.plane
    routes = APIRouter(tags=["KServe V1"])

    @routes.get("/")
    async def live() -> LiveBody:
        """Reports that the server lives."""
        return LiveBody()

    @routes.get("/v1/models")
    async def models() -> ModelsBody:
        """The models that have a route table."""
        return ModelsBody(models=plane.models())

    @routes.get("/v1/models/{model}", responses=responses(OF_A_MODEL))
    async def ready(model: str) -> ReadyBody:
        """Reports if a version of the model answers."""
        await plane.spec(model)
        return ReadyBody(name=model, ready=True)

    return routes


def _base64(value: bytes) -> dict[str, str]:
    return {json_tensors.BASE64_KEY: base64.b64encode(value).decode("ascii")}
