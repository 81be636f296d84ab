"""MLflow's scoring protocol: bodies to arrays and back, its error codes and its routes.

Source: "Inference Server Specification" (mlflow.org, Deploy MLflow Model Locally) and mlflow.pyfunc.scoring_server.
What differs: a missing number in ``predictions`` is ``null`` where MLflow writes ``NaN``, which is not JSON (but is
read, since MLflow's client sends it); every error is JSON; Parquet and language models' formats are refused.

MLflow answers in the shape of the object that ``predict`` returned. Only its arrays come this far, so: one output
without a name in the signature is its nested list, the named outputs of a model that takes columns are a list of
records, those of a model that takes tensors an object of nested lists.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from importlib.metadata import version as installed
from io import StringIO
from typing import Annotated, Any

import msgspec
import pandas as pd
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from starlette.routing import Route

from app.errors import InvalidArgumentError, ModelError, TidegateError, UnsupportedMediaError
from app.gateway.errors import OF_A_MODEL
from app.gateway.front import FrontContext
from app.gateway.http.endpoint import JSON, Endpoint, Exchange, HttpReply, compressed
from app.gateway.inference.call import InferCall
from app.gateway.protocols import json_tensors
from app.gateway.protocols.body_fields import COLUMNS, MODEL_PARAMETERS, ROWS, schema
from app.gateway.protocols.headers import reply_headers
from app.gateway.protocols.json_tensors import Arrays
from app.gateway.protocols.pinning import Pinning
from app.model_spec import ModelSpec
from app.serving.batch import Outputs
from app.web.openapi_parts import responses

CSV = "text/csv"
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
UNNAMED = "output"
"""What ``app.registry`` calls an output that has no name in the signature."""

STATUS: Mapping[type[TidegateError], int] = {ModelError: 400}
"""Where MLflow's server answers otherwise than ``errors`` says: to it, what the model raises is a bad request."""
CODES: Mapping[int, str] = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_CONFLICT",
    413: "BAD_REQUEST",
    415: "BAD_REQUEST",
    422: "BAD_REQUEST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""MLflow's error code of each status."""


class DataframeSplit(msgspec.Struct, forbid_unknown_fields=True):
    """A table as ``DataFrame.to_dict(orient="split")`` makes it."""

    data: Annotated[list[Any], schema(minItems=1, items={"type": "array"})]
    columns: list[str | int] | None = None
    index: list[Any] | None = None  # a server has no use for it, but pandas and MLflow's client send it


class ScoringRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request of MLflow's scoring protocol."""

    dataframe_split: DataframeSplit | msgspec.UnsetType = msgspec.UNSET
    dataframe_records: Annotated[
        list[Any] | msgspec.UnsetType,
        schema(minItems=1, items={"type": "object"}, description="DataFrame.to_dict(orient='records')"),
    ] = msgspec.UNSET
    instances: Annotated[list[Any] | msgspec.UnsetType, ROWS] = msgspec.UNSET
    inputs: Annotated[Any, COLUMNS] = msgspec.UNSET
    params: Annotated[dict[str, Any] | None, MODEL_PARAMETERS] = None


_decoder = msgspec.json.Decoder(ScoringRequest)


def media_type(content_type: str | None) -> str:
    """JSON or CSV.

    Raises:
        UnsupportedMediaError: neither, or not in UTF-8.
    """
    kind, _, rest = (content_type or "").partition(";")
    parameters = [part.strip().lower().replace('"', "") for part in rest.split(";") if part.strip()]
    if kind.strip().lower() not in (JSON, CSV) or any(part != "charset=utf-8" for part in parameters):
        raise UnsupportedMediaError(f"Content-Type is {content_type!r}; accepted are {JSON} and {CSV}, in UTF-8")
    return kind.strip().lower()


def decode(spec: ModelSpec, body: bytes) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and parameters from a JSON body.

    Raises:
        InvalidArgumentError: not JSON, not exactly one of the four formats, or data that is not what the format says.
    """
    request = _parsed(body)
    given = [name for name in FORMATS if getattr(request, name) is not msgspec.UNSET]
    if len(given) != 1:
        raise InvalidArgumentError(
            f"the body has {' and '.join(given) or 'no data'}; accepted is exactly one of {_formats()}"
        )
    parameters = request.params or {}
    match given[0]:
        case "dataframe_split":
            assert isinstance(request.dataframe_split, DataframeSplit)
            split = request.dataframe_split
            return json_tensors.from_table(spec, split.columns, split.data), parameters
        case "dataframe_records":
            assert isinstance(request.dataframe_records, list)
            return json_tensors.from_records(spec, request.dataframe_records, base64_text=True), parameters
        case "instances":
            assert isinstance(request.instances, list)
            return json_tensors.from_instances(spec, request.instances), parameters
        case _:
            return json_tensors.from_inputs(spec, request.inputs), parameters


def decode_csv(spec: ModelSpec, body: bytes) -> Arrays:
    """Arrays from a table with a header, as ``DataFrame.to_csv(index=False)`` writes it.

    Raises:
        InvalidArgumentError: not a table, or a text missing in it.
    """
    text = {field.name: object for field in spec.inputs if field.dtype in ("str", "bytes")}
    try:
        frame = pd.read_csv(StringIO(body.decode()), dtype=text)
    except Exception as error:  # pandas raises whatever its parsers do
        raise InvalidArgumentError(f"the body is not a CSV table in UTF-8: {error}") from error
    # Missing cells are NaN, which JSON has as null: the rest is the business of one place.
    cells = frame.astype(object).where(frame.notna(), None)
    return json_tensors.from_table(spec, [str(name) for name in cells.columns], cells.to_numpy().tolist())


def encode(spec: ModelSpec, outputs: Outputs) -> bytes:
    """The reply's body."""
    written = {name: json_tensors.nested(array, _base64) for name, array in outputs.items()}
    predictions: Any = written
    if list(outputs) == [UNNAMED]:
        predictions = written[UNNAMED]
    elif spec.columns and _is_table(outputs):
        predictions = json_tensors.records(written)
    return msgspec.json.encode({"predictions": predictions})


def failed(error: TidegateError) -> HttpReply:
    """An error as ``MlflowException`` writes it."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), error.status)
    return HttpReply(json.dumps({"error_code": CODES[status], "message": str(error)}).encode(), status)


def raw_routes(context: FrontContext) -> list[Route]:
    """The scoring route."""
    plane, admission, table = context.plane, context.admission, context.attributes
    pinning, max_body_bytes = Pinning(plane, admission), context.settings.gateway.max_body_bytes

    async def invocations(exchange: Exchange) -> HttpReply:
        attributes = table.from_headers(exchange.headers)
        caller = await admission.admit(attributes.authorization)
        kind = media_type(exchange.header(b"content-type"))
        body = await exchange.body(max_body_bytes)
        model = exchange.path["model"]
        pinned = pinning.version(model, caller, attributes)
        spec = await plane.spec(model, pinned)
        if kind == CSV:
            inputs, parameters = await asyncio.to_thread(decode_csv, spec, body), dict[str, Any]()
        else:
            inputs, parameters = decode(spec, body)
        identity = attributes.identity()
        reply = await plane.infer(
            InferCall(model, inputs, caller, identity, pinned, attributes, parameters=parameters)
        )
        return await compressed(
            exchange, HttpReply(encode(spec, reply.outputs), headers=reply_headers(reply, identity))
        )

    return [Route("/models/{model}/invocations", Endpoint(invocations, failed), methods=["POST"])]


def router(context: FrontContext) -> APIRouter:
    """The routes that MLflow's clients ask before they send anything."""
    plane = context.plane
    routes = APIRouter(
        prefix="/models/{model}", tags=["MLflow scoring protocol"], default_response_class=PlainTextResponse
    )

    @routes.get("/ping", responses=responses(OF_A_MODEL))
    @routes.get("/health", responses=responses(OF_A_MODEL))
    async def ping(model: str) -> str:
        """Reports if the model is served here."""
        await plane.spec(model)
        return "\n"

    @routes.get("/version")
    async def mlflow_version(model: str) -> str:
        """MLflow's version."""
        return installed("mlflow")

    return routes


def _parsed(body: bytes) -> ScoringRequest:
    try:
        try:
            return _decoder.decode(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            # NaN and Infinity, say: Python's own reader takes them, and MLflow's client writes them.
            found = json.loads(body)
            json.dumps(found, ensure_ascii=False).encode()  # refuses half a surrogate pair, which is no text
            return msgspec.convert(found, ScoringRequest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(
            f"not a scoring request: {error}; accepted is an object with one of {_formats()}"
        ) from error


def _formats() -> str:
    return ", ".join(FORMATS)


def _is_table(outputs: Outputs) -> bool:
    lengths = {array.shape for array in outputs.values()}
    return len(lengths) == 1 and len(next(iter(lengths))) == 1


def _base64(value: bytes) -> str:
    return base64.encodebytes(value).decode("ascii")
