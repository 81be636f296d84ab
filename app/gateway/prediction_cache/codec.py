"""Outputs of a version as bytes and back: a msgpack array of when they were computed and each output.

An output is its name, dtype, shape and values: the bytes of numbers, or a list of ``str`` and ``bytes``. What comes
back is read-only, and numbers are views of bytes that Python itself keeps from changing, so that callers who share an
answer cannot change it for each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import TidegateError

Outputs = dict[str, NDArray[Any]]

FORMAT = 1
"""Raised with every change of this encoding or of ``key``: replicas of two releases then do not meet in Redis."""

ARRAY_OVERHEAD_BYTES = 256
"""What an array costs beside its values: its header, its shape, its name, its entry in the dict."""

_TEXT = frozenset((str, bytes))


class NotCacheableError(TidegateError):
    """Outputs that have no bytes; the message names output, value and what is accepted."""


class CacheEntry(msgspec.Struct, frozen=True, array_like=True):
    """The bytes as they lie in Redis.

    Attributes:
        computed_at: wall clock, milliseconds since the epoch: a reader adds no second ttl to the first.
        outputs: name, dtype, shape, values.
    """

    computed_at: int
    outputs: list[tuple[str, str, tuple[int, ...], bytes | list[Any]]]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(CacheEntry)


def values_bytes(outputs: Mapping[str, NDArray[Any]]) -> int:
    """A lower bound of the encoded size that costs no encoding."""
    return sum(array.nbytes for array in outputs.values() if array.dtype.kind != "O")


def encode(outputs: Mapping[str, NDArray[Any]], computed_at: int) -> bytes:
    """The outputs as bytes.

    Raises:
        NotCacheableError: an output is neither numbers nor text.
    """
    return _ENCODER.encode(
        CacheEntry(
            computed_at,
            [(name, array.dtype.str, array.shape, _values(name, array)) for name, array in outputs.items()],
        )
    )


def decode(data: bytes) -> tuple[int, Outputs]:
    """When the outputs were computed, and the outputs, read-only.

    Raises:
        ValueError: the bytes are no entry.
    """
    try:
        entry = _DECODER.decode(data)
        return entry.computed_at, {name: _array(dtype, shape, values) for name, dtype, shape, values in entry.outputs}
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{len(data)} bytes are no prediction: {error}") from error


def frozen(outputs: Mapping[str, NDArray[Any]]) -> Outputs:
    """Read-only views of the outputs."""
    views = {name: array.view() for name, array in outputs.items()}
    for view in views.values():
        view.flags.writeable = False
    return views


def _values(name: str, array: NDArray[Any]) -> bytes | list[str | bytes]:
    if array.dtype.kind == "O":
        values: list[str | bytes] = array.ravel().tolist()
        if not _TEXT.issuperset(map(type, values)):
            raise NotCacheableError(f"output {name} holds what is neither str nor bytes")
        return values
    if array.dtype.kind not in "biuf":
        raise NotCacheableError(f"output {name} is {array.dtype}; numbers, bools and text are accepted")
    return array.tobytes()


def _array(dtype: str, shape: tuple[int, ...], values: bytes | list[Any]) -> NDArray[Any]:
    if isinstance(values, bytes):
        return np.frombuffer(values, dtype).reshape(shape)
    if dtype != "|O" or math.prod(shape) != len(values) or not _TEXT.issuperset(map(type, values)):
        raise ValueError(f"{len(values)} values are no array {dtype} of shape {list(shape)}")
    flat = np.empty(len(values), dtype=object)
    flat[:] = values
    array = flat.reshape(shape)
    array.flags.writeable = False
    return array
