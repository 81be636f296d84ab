"""Requests and replies of the Open Inference Protocol (V2) over gRPC: messages to arrays and back. Pure.

Source: the protocol's gRPC description. A request carries its tensors either all in ``raw_input_contents``, one
entry an input in the order of ``inputs`` and in the form of ``v2_binary``, or each in the typed field of its
``contents`` that belongs to its datatype; FP16 has no such field. A reply has the form of its request, as KServe's
and MLServer's have; one that holds FP16 is raw.

Parameters of a tensor say over REST where its data lies (``binary_data_size``, ``binary_data``); here the message
itself says it, so they are read for what cannot be honoured only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidArgumentError
from app.gateway.grpc.messages import CLASSES
from app.gateway.protocols.v2.binary import element, pack, unpack
from app.gateway.protocols.v2.datatypes import count_of, datatype_of, dtype_of, shaped, shown
from app.gateway.protocols.v2.request import DecodedRequest

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of ``InferTensorContents`` for each datatype that has one."""

_BINARY_OUTPUT = "binary_data_output"


def decode(request: Any) -> DecodedRequest:
    """Arrays from a ``ModelInferRequest``.

    Raises:
        InvalidArgumentError: an unknown datatype, data that does not fit datatype or shape, or what is not offered
            here.
    """
    if not request.inputs:
        raise InvalidArgumentError("a V2 inference request needs at least one tensor in 'inputs'")
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidArgumentError(
            f"raw_input_contents has {len(raw)} entries for {len(request.inputs)} inputs; accepted is one an input"
        )
    inputs: dict[str, NDArray[Any]] = {}
    for index, tensor in enumerate(request.inputs):
        if tensor.name in inputs:
            raise InvalidArgumentError(f"input {tensor.name!r} is given twice")
        inputs[tensor.name] = _array(tensor, raw[index] if raw else None)
    for output in request.outputs:
        _refuse(f"output {output.name!r}", output.parameters, "shared_memory_region", "classification")
    given = parameters(request.parameters)
    given.pop(_BINARY_OUTPUT, None)
    return DecodedRequest(
        inputs=inputs,
        outputs=tuple([output.name for output in request.outputs]),
        id=request.id or None,
        binary=None if raw else frozenset(),
        parameters=given,
    )


def encode(model: str, version: str, request_id: str, outputs: Mapping[str, NDArray[Any]], *, raw: bool) -> Any:
    """A ``ModelInferResponse``.

    Args:
        raw: whether the outputs go in ``raw_output_contents``; they do in any case where one has no typed field.

    Raises:
        ModelError: an output holds what BYTES cannot write.
    """
    reply = CLASSES["ModelInferResponse"](model_name=model, model_version=version, id=request_id)
    datatypes = {name: datatype_of(array.dtype.name) for name, array in outputs.items()}
    raw = raw or not CONTENTS.keys() >= set(datatypes.values())
    for name, array in outputs.items():
        tensor = reply.outputs.add(name=name, datatype=datatypes[name], shape=array.shape)
        if raw:
            reply.raw_output_contents.append(pack(name, array))
        else:
            getattr(tensor.contents, CONTENTS[datatypes[name]]).extend(_values(name, array))
    return reply


def parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values from a map of ``InferParameter``.

    Raises:
        InvalidArgumentError: a parameter has no value.
    """
    found = {}
    for name, parameter in given.items():
        chosen = parameter.WhichOneof("parameter_choice")
        if chosen is None:
            raise InvalidArgumentError(f"parameter {name!r} has no value; set one of the fields of InferParameter")
        found[name] = getattr(parameter, chosen)
    return found


def _refuse(where: str, given: Mapping[str, Any], *names: str) -> None:
    if not given:
        return
    for name, value in parameters(given).items():
        if name in names and value:
            raise InvalidArgumentError(
                f"{where}: {name} {value!r} is not offered here; accepted are tensors in the message"
            )


def _array(tensor: Any, raw: bytes | None) -> NDArray[Any]:
    where = f"input {tensor.name!r}"
    dtype = dtype_of(where, tensor.datatype)
    shape = list(tensor.shape)
    count = count_of(where, shape)
    _refuse(where, tensor.parameters, "shared_memory_region")
    filled = [field.name for field, _ in tensor.contents.ListFields()] if tensor.HasField("contents") else []
    if raw is not None:
        if filled:
            raise InvalidArgumentError(
                f"{where} has both raw_input_contents and {filled[0]}; accepted is one of them"
            )
        return shaped(where, unpack(where, tensor.datatype, count, memoryview(raw)), shape)
    field = CONTENTS.get(tensor.datatype)
    if field is None:
        raise InvalidArgumentError(f"{where}: {tensor.datatype} has no typed contents; send raw_input_contents")
    if unfit := [name for name in filled if name != field]:
        raise InvalidArgumentError(f"{where}: {tensor.datatype} goes in {field}; its contents have {unfit[0]}")
    values = getattr(tensor.contents, field)
    if len(values) != count:
        raise InvalidArgumentError(f"{where}: shape {shape} needs {shown(count)} values; {field} has {len(values)}")
    return shaped(where, _typed(where, tensor.datatype, dtype, values), shape)


def _typed(where: str, datatype: str, dtype: np.dtype[Any], values: Any) -> NDArray[Any]:
    if dtype.kind == "O":
        elements = np.empty(len(values), dtype=object)
        elements[:] = values
        return unpack(where, datatype, len(values), memoryview(pack(where, elements)))  # text where all is UTF-8
    try:
        return np.array(list(values), dtype)  # a list, because numpy checks the range of Python integers only
    except OverflowError:
        raise InvalidArgumentError(f"{where}: a value is out of the range of datatype {datatype}") from None


def _values(name: str, array: NDArray[Any]) -> list[Any]:
    flat: list[Any] = array.reshape(-1).tolist()
    return [element(name, value) for value in flat] if array.dtype.kind == "O" else flat
