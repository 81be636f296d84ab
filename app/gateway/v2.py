"""The JSON form of the Open Inference Protocol (V2): bytes to arrays and back. Pure.

Source: the protocol's REST description (open_inference_rest.yaml). One extension: ``null`` in a floating-point
tensor is NaN, since JSON cannot write a missing number otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.gateway.errors import InputError
from app.registry import FieldSpec

MAX_DIMENSIONS = 32

_NUMPY = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
_DATATYPE = {dtype.name: name for name, dtype in _NUMPY.items()} | {
    "str": "BYTES",
    "bytes": "BYTES",
    "object": "BYTES",
}


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    outputs: list[_Output] = []
    parameters: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A decoded request: arrays by input name, the outputs asked for (empty: all), the caller's id."""

    inputs: dict[str, NDArray[Any]]
    outputs: tuple[str, ...]
    id: str | None


_decoder = msgspec.json.Decoder(_Request)
_encoder = msgspec.json.Encoder()


def decode(body: bytes) -> InferRequest:
    """Arrays from a request's body.

    Raises:
        InputError: not JSON, not a V2 request, an unknown datatype, or data that does not fit datatype or shape.
    """
    try:
        request = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InputError(f"not a V2 inference request: {error}") from error
    if not request.inputs:
        raise InputError("a V2 inference request needs at least one tensor in 'inputs'")
    inputs: dict[str, NDArray[Any]] = {}
    for tensor in request.inputs:
        if tensor.name in inputs:
            raise InputError(f"input {tensor.name!r} is given twice")
        inputs[tensor.name] = _array(tensor)
    return InferRequest(inputs, tuple(output.name for output in request.outputs), request.id)


def encode(model: str, version: str, request_id: str, outputs: Mapping[str, NDArray[Any]]) -> bytes:
    """A reply's body; NaN and infinities, which JSON cannot write, become ``null``."""
    return _encoder.encode(
        {
            "model_name": model,
            "model_version": version,
            "id": request_id,
            "outputs": [
                {
                    "name": name,
                    "shape": list(array.shape),
                    "datatype": datatype_of(array.dtype.name),
                    "data": _data(array),
                }
                for name, array in outputs.items()
            ],
        }
    )


def datatype_of(dtype: str) -> str:
    """V2's name of a numpy type or of ``str``/``bytes``.

    Raises:
        KeyError: V2 has no such type.
    """
    return _DATATYPE[dtype]


def metadata(field: FieldSpec) -> dict[str, Any]:
    """A ``metadata_tensor`` of the protocol."""
    return {"name": field.name, "datatype": datatype_of(field.dtype), "shape": list(field.shape)}


def _array(tensor: _Tensor) -> NDArray[Any]:
    where = f"input {tensor.name!r}"
    dtype = _NUMPY.get(tensor.datatype)
    if dtype is None:
        raise InputError(f"{where}: datatype {tensor.datatype!r} is unknown; accepted are {', '.join(_NUMPY)}")
    if any(size < 0 for size in tensor.shape):
        raise InputError(f"{where}: shape {tensor.shape} has a negative dimension")
    values = tensor.data
    if values and isinstance(values[0], list):
        values = list(_flat(values))
    if len(tensor.shape) > MAX_DIMENSIONS:
        raise InputError(f"{where}: {len(tensor.shape)} dimensions; accepted are up to {MAX_DIMENSIONS}")
    count = math.prod(tensor.shape)
    if len(values) != count:
        raise InputError(f"{where}: shape {tensor.shape} needs {count} values; data has {len(values)}")
    try:
        return _converted(where, tensor.datatype, dtype, values).reshape(tensor.shape)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}: shape {tensor.shape} cannot be had: {error}") from error


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
            raise InputError(f"{where}: {value!r} is not a value of datatype {datatype}")
    try:
        with np.errstate(over="raise"):
            return np.array(values, dtype=np.float64).astype(dtype) if dtype.kind == "f" else np.array(values, dtype)
    except (OverflowError, FloatingPointError):
        raise InputError(f"{where}: a value is out of the range of datatype {datatype}") from None


def _flat(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _data(array: NDArray[Any]) -> list[Any]:
    flat = array.reshape(-1)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        return [value if np.isfinite(value) else None for value in flat.tolist()]
    return (
        [value.decode() if isinstance(value, bytes) else value for value in flat.tolist()]
        if (flat.dtype.kind == "O")
        else flat.tolist()
    )
