"""The binary tensor extension of the Open Inference Protocol (V2): raw bytes to arrays and back. Pure.

Source: "Binary Tensor Data Extension" (docs.nvidia.com, Triton's protocol extensions; KServe documents the same):
a body is a JSON object of the length that ``Inference-Header-Content-Length`` gives, then the tensors that carry
``binary_data_size``, in the order of the JSON object and with nothing between them. Values are little-endian and
row-major; a BOOL is one byte, 0 or 1; an element of BYTES is a 4-byte unsigned length and that many bytes.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidArgumentError, ModelError
from app.gateway.protocols.v2.datatypes import dtype_of, shown

LENGTH_HEADER = "Inference-Header-Content-Length"

_LENGTH = struct.Struct("<I")
_MAX_DIGITS = 19


def split(body: bytes, header_length: str) -> tuple[memoryview, memoryview]:
    """The JSON part of a body and its binary part.

    Args:
        body: as it was before any content coding.
        header_length: the header's value as received.

    Raises:
        InvalidArgumentError: not a length, or not one that this body has.
    """
    digits = header_length.isascii() and header_length.isdecimal() and len(header_length) <= _MAX_DIGITS
    length = int(header_length) if digits else 0
    if not 1 <= length <= len(body):
        raise InvalidArgumentError(
            f"{LENGTH_HEADER} is {header_length!r}; accepted is the length of the JSON object in bytes, "
            f"from 1 to the body's {len(body)}"
        )
    whole = memoryview(body)
    return whole[:length], whole[length:]


class Reader:
    """Takes tensors from the binary part of a body, one behind the other, so that no two can overlap."""

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw
        self._taken = 0

    def take(self, where: str, datatype: str, count: int, size: int) -> NDArray[Any]:
        """The next tensor's values, flat: an array of its own, aligned and writable.

        Args:
            where: the tensor, for the sentence of the error.
            count: values that the tensor's shape needs.
            size: its ``binary_data_size``.

        Raises:
            InvalidArgumentError: the bytes are not there, or are no such values.
        """
        left = len(self._raw) - self._taken
        if not 0 <= size <= left:
            raise InvalidArgumentError(
                f"{where}: binary_data_size is {size}; accepted is up to the {left} bytes left in the body"
            )
        raw = self._raw[self._taken : self._taken + size]
        self._taken += size
        return unpack(where, datatype, count, raw)

    def close(self) -> None:
        """Refuses bytes that are left over.

        Raises:
            InvalidArgumentError: bytes are left that no tensor asked for.
        """
        if self._taken != len(self._raw):
            raise InvalidArgumentError(
                f"the binary part of the body has {len(self._raw)} bytes; "
                f"the inputs' binary_data_size add up to {self._taken}"
            )


def unpack(where: str, datatype: str, count: int, raw: memoryview) -> NDArray[Any]:
    """``count`` values from the bytes that hold exactly them; BYTES as ``str``, or as ``bytes`` where not all are
    UTF-8.

    Raises:
        InvalidArgumentError: more bytes or fewer than the values need, or bytes that are no such values.
    """
    dtype = dtype_of(where, datatype)
    if dtype.kind == "O":
        return _unpack_bytes(where, count, raw)
    if len(raw) != count * dtype.itemsize:
        raise InvalidArgumentError(
            f"{where}: {shown(count)} values of {datatype} need {shown(count * dtype.itemsize)} bytes; "
            f"binary_data_size is {len(raw)}"
        )
    if dtype.kind == "b":
        octets = np.frombuffer(raw, np.uint8)
        if octets.size and octets.max() > 1:
            raise InvalidArgumentError(
                f"{where}: a byte of value {octets.max()} is not a value of datatype BOOL; use 0 or 1"
            )
    # A copy: the tensor lies in the request's body, read-only and at any offset.
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype)


def pack(name: str, array: NDArray[Any]) -> bytes:
    """The bytes of an output.

    Raises:
        ModelError: an output of BYTES holds something that is neither text nor bytes.
    """
    if array.dtype.kind != "O":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    parts: list[bytes] = []
    for value in array.reshape(-1).tolist():
        octets = element(name, value)
        parts += (_LENGTH.pack(len(octets)), octets)
    return b"".join(parts)


def _unpack_bytes(where: str, count: int, raw: memoryview) -> NDArray[Any]:
    if count * _LENGTH.size > len(raw):
        raise InvalidArgumentError(
            f"{where}: {shown(count)} values of BYTES need at least {shown(count * _LENGTH.size)} bytes; "
            f"binary_data_size is {len(raw)}"
        )
    values: list[bytes] = []
    at = 0
    while at < len(raw):
        start = at + _LENGTH.size
        if len(values) == count:
            raise InvalidArgumentError(
                f"{where}: {len(raw) - at} bytes are left over behind its {count} values of BYTES"
            )
        if start > len(raw):
            raise InvalidArgumentError(
                f"{where}: value {len(values)} of BYTES has {len(raw) - at} bytes of its 4-byte length"
            )
        (size,) = _LENGTH.unpack_from(raw, at)
        at = start + size
        if at > len(raw):
            raise InvalidArgumentError(
                f"{where}: value {len(values)} of BYTES declares {size} bytes; {len(raw) - start} are left"
            )
        values.append(bytes(raw[start:at]))
    if len(values) != count:
        raise InvalidArgumentError(
            f"{where}: its shape needs {shown(count)} values of BYTES; the binary data has {len(values)}"
        )
    array = np.empty(count, dtype=object)
    array[:] = _text(values)
    return array


def _text(values: list[bytes]) -> list[str] | list[bytes]:
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError:
        return values


def element(name: str, value: Any) -> bytes:
    """An element of BYTES, without its length.

    Args:
        name: the output.

    Raises:
        ModelError: it is neither text nor bytes.
    """
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ModelError(f"output {name!r} holds a {type(value).__name__}; BYTES takes text and bytes")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise ModelError(f"output {name!r} holds text that UTF-8 cannot write: {error}") from error
