"""The values of Feast's hashes: protobuf messages of one field, decoded by hand.

A value is a ``feast.types.Value`` (``protos/feast/types/Value.proto``), one ``oneof`` of some forty fields; an event
time is a ``google.protobuf.Timestamp``. A message of one field (https://protobuf.dev/programming-guides/encoding/) is
a tag, the field's number times 8 plus its wire type, and the field: wire type 0 is a varint, 1 eight bytes, 2 a
length and as many bytes, 5 four bytes. Feast writes null as an empty message. The protobuf library would need Feast's
descriptor, and an object for each of the hundreds of values of a request.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

from app.features.dtypes import Dtype, Value
from app.features.feature_row import MAX_EVENT_TIME, Row, Unreadable
from app.features.view import FeatureView

_DOUBLE, _FLOAT = struct.Struct("<xd"), struct.Struct("<xf")
_BOOLS: Mapping[bytes, bool] = {b"\x38\x00": False, b"\x38\x01": True}
_NULL = b"\x98\x01\x00"
"""``null_val``, field 19, beside the empty message that Feast writes."""
_NO_TIME = -(2**63)
"""What Feast writes for a null in a timestamp: numpy's NaT."""
_VARINT_BYTES = 10
_WIRE_TYPES = (0, 1, 2, 5)


class _OtherType(Exception):  # noqa: N818  (not an error of the bytes)
    """A value of a type that its feature does not take."""


class RowDecoder:
    """Reads the hash fields of one view's rows."""

    def __init__(self, view: FeatureView) -> None:
        self._readers = tuple(_READERS[feature.dtype] for feature in view.features)

    def row(self, fields: Sequence[bytes | None]) -> Row | Unreadable | None:
        """The row, None where Feast has written none, or why there is none; never raises.

        A feature without a field is of another schema: Feast writes all features of a view together, nulls included.

        Args:
            fields: of the features and of the event time, as in ``keys.hash_fields``.
        """
        *values, time = fields
        if time is None:
            return None
        try:
            return Row(_event_time(time), tuple(map(_value, values, self._readers)))
        except _OtherType:
            return Unreadable.OTHER_SCHEMA
        except (ValueError, struct.error):
            return Unreadable.CORRUPT


Reader = Callable[[bytes], Value | None]


def _value(data: bytes | None, readers: Mapping[int, Reader]) -> Value | None:
    if data is None:
        raise _OtherType
    if not data or data == _NULL:
        return None
    reader = readers.get(data[0])
    if reader is None:
        raise _OtherType if data[0] > 7 and data[0] & 7 in _WIRE_TYPES else ValueError
    return reader(data)


def _event_time(data: bytes) -> int:
    """Microseconds since the epoch; seconds are field 1, nanoseconds field 2, and a zero is left out."""
    seconds = nanos = at = 0
    if data[:1] == b"\x08":
        seconds, at = _varint(data, 1)
    if data[at : at + 1] == b"\x10":
        nanos, at = _varint(data, at + 1)
    time = seconds * 1_000_000 + nanos // 1_000
    if at != len(data) or not 0 <= nanos < 1_000_000_000 or not 0 <= time <= MAX_EVENT_TIME:
        raise ValueError
    return time


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The signed number of 64 bits at a place, and the place behind it."""
    number = 0
    for size, byte in enumerate(data[at : at + _VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * size)
        if byte < 0x80:
            if number >= 2**64:
                break
            return number - (number >> 63 << 64), at + size + 1
    raise ValueError


def _double(data: bytes) -> float:
    (number,) = _DOUBLE.unpack(data)
    return float(number)


def _float(data: bytes) -> float:
    (number,) = _FLOAT.unpack(data)
    return float(number)


def _integer(data: bytes) -> int:
    number, end = _varint(data, 1)
    if end != len(data):
        raise ValueError
    return number


def _time(data: bytes) -> int | None:
    seconds = _integer(data)
    return None if seconds == _NO_TIME else seconds


def _bool(data: bytes) -> bool:
    found = _BOOLS.get(data)
    if found is None:
        raise ValueError
    return found


def _string(data: bytes) -> str:
    length, start = _varint(data, 1)
    if length != len(data) - start:
        raise ValueError
    return data[start:].decode()


# The tags of the scalars.
_STRING, _INT32, _INT64, _FLOAT64, _FLOAT32, _BOOL, _TIME = 0x12, 0x18, 0x20, 0x29, 0x35, 0x38, 0x40

_READERS: Mapping[Dtype, Mapping[int, Reader]] = {
    "float64": {_FLOAT64: _double, _FLOAT32: _float},
    "float32": {_FLOAT32: _float},
    "int64": {_INT64: _integer, _INT32: _integer, _TIME: _time},
    "bool": {_BOOL: _bool},
    "string": {_STRING: _string},
}
"""What each type of ours takes from Feast: only what fits without loss. A timestamp is in seconds since the epoch."""
