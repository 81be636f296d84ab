"""The types that a feature may have: a closed set, each with one form on the wire and one in a request's columns."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

Dtype = Literal["float64", "float32", "int64", "bool", "string"]
Value = float | int | bool | str

WIRE: Mapping[Dtype, Any] = {
    "float64": float,
    "float32": float,
    "int64": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "bool": bool,
    "string": str,
}
"""What msgspec accepts when it decodes a value, strictly but for whole numbers as floats."""

COLUMN: Mapping[Dtype, np.dtype[Any]] = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "int64": np.dtype(np.int64),
    "bool": np.dtype(np.bool_),
    "string": np.dtype(np.object_),
}
"""Types of a request's columns; text is an array of objects, as in the gateway's inputs."""

_FLOAT32 = struct.Struct("<f")


def fitted(dtype: Dtype, value: object) -> Value:
    """``value`` as a row of that type holds it: whole numbers as floats, float32 rounded to its precision.

    Raises:
        ValueError: it does not fit; numpy's scalars are refused too (``tolist`` makes plain values of them).
    """
    try:
        found: Value = msgspec.convert(value, WIRE[dtype])
        if dtype == "float32":
            found = rounded(float(found))
        msgspec.msgpack.encode(found)  # text may hold half a surrogate pair
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{value!r} ({type(value).__name__}) is no {dtype}: {error}") from None
    return found


def rounded(value: float) -> float:
    """The nearest float32.

    Raises:
        OverflowError: finite, but beyond float32's range.
    """
    nearest: float = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
    return nearest
