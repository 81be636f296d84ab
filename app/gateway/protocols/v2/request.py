"""Inference requests of the Open Inference Protocol (V2) over REST: bytes to arrays. Pure.

Source: the protocol's REST description (open_inference_rest.yaml), and for tensors outside of the JSON object
``v2_binary``. One extension: ``null`` in a floating-point tensor is NaN, since JSON cannot write a missing number
otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidArgumentError
from app.gateway.protocols.body_fields import schema
from app.gateway.protocols.v2.binary import LENGTH_HEADER, Reader, split
from app.gateway.protocols.v2.datatypes import MAX_DIMENSIONS, NUMPY, count_of, dtype_of, shaped, shown


class V2TensorParameters(msgspec.Struct):
    """Parameters of an input."""

    binary_data_size: Annotated[int | None, schema(minimum=0)] = None
    shared_memory_region: Annotated[str | None, schema(description="Refused: it is not offered here")] = None


class V2Tensor(msgspec.Struct):
    """An input."""

    name: str
    shape: Annotated[list[Annotated[int, schema(minimum=0)]], schema(maxItems=MAX_DIMENSIONS)]
    datatype: Annotated[str, schema(enum=list(NUMPY))]
    data: list[Any] | None = None
    parameters: V2TensorParameters | None = None


class V2OutputParameters(msgspec.Struct):
    """Parameters of a requested output."""

    binary_data: bool | None = None
    shared_memory_region: Annotated[str | None, schema(description="Refused: it is not offered here")] = None
    classification: Annotated[int | None, schema(description="Refused: it is not offered here")] = None


class V2Output(msgspec.Struct):
    """A requested output."""

    name: str
    parameters: V2OutputParameters | None = None


class V2Request(msgspec.Struct):
    """An inference request of the Open Inference Protocol."""

    inputs: Annotated[list[V2Tensor], schema(minItems=1)]
    id: str | None = None
    outputs: list[V2Output] = []
    parameters: Annotated[dict[str, Any], schema(properties={"binary_data_output": {"type": "boolean"}})] = {}


@dataclass(frozen=True, slots=True)
class DecodedRequest:
    """A decoded request.

    Attributes:
        inputs: arrays by input name.
        outputs: the outputs asked for; empty for all.
        id: the caller's.
        binary: the outputs that go as binary data; None for all.
        parameters: those for the model.
    """

    inputs: dict[str, NDArray[Any]]
    outputs: tuple[str, ...]
    id: str | None
    binary: frozenset[str] | None
    parameters: dict[str, Any]

    def binary_among(self, outputs: Collection[str]) -> Collection[str]:
        """Returns the outputs of a reply that go as binary data."""
        return outputs if self.binary is None else self.binary


_decoder = msgspec.json.Decoder(V2Request)
_NONE: frozenset[str] = frozenset()
_BINARY_OUTPUT = "binary_data_output"


def decode(body: bytes, header_length: str | None = None) -> DecodedRequest:
    """Arrays from a request's body.

    Args:
        header_length: the header ``Inference-Header-Content-Length``; None where the body is JSON alone.

    Raises:
        InvalidArgumentError: not JSON, not a V2 request, an unknown datatype, or data that does not fit datatype or
            shape.
    """
    text, raw = (body, None) if header_length is None else split(body, header_length)
    try:
        request = _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidArgumentError(f"not a V2 inference request: {error}") from error
    if not request.inputs:
        raise InvalidArgumentError("a V2 inference request needs at least one tensor in 'inputs'")
    reader = None if raw is None else Reader(raw)
    inputs: dict[str, NDArray[Any]] = {}
    for tensor in request.inputs:
        if tensor.name in inputs:
            raise InvalidArgumentError(f"input {tensor.name!r} is given twice")
        inputs[tensor.name] = _array(tensor, reader)
    if reader is not None:
        reader.close()
    by_default = request.parameters.pop(_BINARY_OUTPUT, False)
    if not isinstance(by_default, bool):
        raise InvalidArgumentError(f"parameter {_BINARY_OUTPUT} is {by_default!r}; accepted are true and false")
    outputs = tuple([output.name for output in request.outputs])
    return DecodedRequest(inputs, outputs, request.id, _binary(request, by_default), request.parameters)


def _binary(request: V2Request, by_default: bool) -> frozenset[str] | None:
    if not request.outputs:
        return None if by_default else _NONE
    return frozenset(output.name for output in request.outputs if _wants_binary(output, by_default))


def _wants_binary(output: V2Output, by_default: bool) -> bool:
    wish = output.parameters
    if wish is None:
        return by_default
    where = f"output {output.name!r}"
    _refuse_elsewhere(where, wish.shared_memory_region)
    if wish.classification:
        raise InvalidArgumentError(f"{where}: classification is not offered here; ask for the output itself")
    return by_default if wish.binary_data is None else wish.binary_data


def _refuse_elsewhere(where: str, region: str | None) -> None:
    if region is not None:
        raise InvalidArgumentError(
            f"{where}: shared_memory_region {region!r} is not offered here; accepted are data in JSON and binary data"
        )


def _array(tensor: V2Tensor, reader: Reader | None) -> NDArray[Any]:
    where = f"input {tensor.name!r}"
    dtype = dtype_of(where, tensor.datatype)
    count = count_of(where, tensor.shape)
    size = None
    if tensor.parameters is not None:
        _refuse_elsewhere(where, tensor.parameters.shared_memory_region)
        size = tensor.parameters.binary_data_size
    if size is not None:
        if tensor.data is not None:
            raise InvalidArgumentError(f"{where} has both data and binary_data_size; accepted is one of them")
        if reader is None:
            raise InvalidArgumentError(
                f"{where}: binary_data_size is {size}, but the request has no header {LENGTH_HEADER}"
            )
        return shaped(where, reader.take(where, tensor.datatype, count, size), tensor.shape)
    values = tensor.data
    if values is None:
        raise InvalidArgumentError(
            f"{where} has no data; accepted are the field data or the parameter binary_data_size"
        )
    if values and isinstance(values[0], list):
        values = list(_flat(values))
    if len(values) != count:
        raise InvalidArgumentError(
            f"{where}: shape {tensor.shape} needs {shown(count)} values; data has {len(values)}"
        )
    return shaped(where, _converted(where, tensor.datatype, dtype, values), tensor.shape)


def _converted(where: str, datatype: str, dtype: np.dtype[Any], values: list[Any]) -> NDArray[Any]:
    accepted: tuple[type, ...]
    match dtype.kind:
        case "O":
            accepted = (str,)
        case "b":
            accepted = (bool,)
        case "f":
            accepted = (float, int, type(None))
        case _:
            accepted = (int,)
    for value in values:
        if not isinstance(value, accepted) or (isinstance(value, bool) and dtype.kind != "b"):
            raise InvalidArgumentError(f"{where}: {value!r} is not a value of datatype {datatype}")
    try:
        with np.errstate(over="raise"):
            return np.array(values, dtype=np.float64).astype(dtype) if dtype.kind == "f" else np.array(values, dtype)
    except (OverflowError, FloatingPointError):
        raise InvalidArgumentError(f"{where}: a value is out of the range of datatype {datatype}") from None


def _flat(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value
