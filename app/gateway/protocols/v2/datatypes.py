"""The datatypes and shapes of the Open Inference Protocol (V2), and numpy's. Pure.

Source: the protocol's description, section "Tensor Data Types". BF16 has no numpy type and is refused.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidArgumentError

MAX_DIMENSIONS = 32

NUMPY = {
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
_DATATYPE = {dtype.name: name for name, dtype in NUMPY.items()} | {
    "str": "BYTES",
    "bytes": "BYTES",
    "object": "BYTES",
}


def datatype_of(dtype: str) -> str:
    """V2's name of a numpy type or of ``str``/``bytes``.

    Raises:
        KeyError: V2 has no such type.
    """
    return _DATATYPE[dtype]


def dtype_of(where: str, datatype: str) -> np.dtype[Any]:
    """Numpy's type of a V2 datatype; BYTES is ``object``.

    Args:
        where: the tensor, for the sentence of the error.

    Raises:
        InvalidArgumentError: V2 has no such datatype, or numpy has none.
    """
    dtype = NUMPY.get(datatype)
    if dtype is None:
        raise InvalidArgumentError(f"{where}: datatype {datatype!r} is unknown; accepted are {', '.join(NUMPY)}")
    return dtype


def count_of(where: str, shape: list[int]) -> int:
    """Returns the number of values of a tensor of this shape.

    Raises:
        InvalidArgumentError: too many dimensions, or a negative one.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise InvalidArgumentError(f"{where}: {len(shape)} dimensions; accepted are up to {MAX_DIMENSIONS}")
    if shape and min(shape) < 0:
        raise InvalidArgumentError(f"{where}: shape {shape} has a negative dimension")
    return math.prod(shape)


def shown(count: int) -> str:
    """A count for a sentence; shapes can ask for more digits than Python agrees to print."""
    return str(count) if count < 2**63 else "more than 2**63"


def shaped(where: str, values: NDArray[Any], shape: list[int]) -> NDArray[Any]:
    """``values`` in this shape, whose count they have.

    Raises:
        InvalidArgumentError: numpy cannot have the shape (a zero beside huge dimensions).
    """
    try:
        return values.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"{where}: shape {shape} cannot be had: {error}") from error
