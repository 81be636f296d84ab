"""Under which key, and in which fields of its hash, Feast keeps a row in Redis.

The layout is that of ``feast/infra/key_encoding_utils.py`` and ``feast/infra/online_stores/{helpers,redis}.py`` of
Feast 0.67, with ``entity_key_serialization_version: 3``, the only one that it still writes; little-endian::

    key    uint32 count of join keys
           for each, by name:      uint32 type (2: string), uint32 length, name
           for each, by its name:  uint32 type, uint32 length, value (text in UTF-8, int32 or int64)
           project in UTF-8
    field  of a feature:           murmur3_32("view:feature") as uint32
           of the event time:      "_ts:view"

So views of the same entity share one hash, and nothing in it says of which view a feature is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from reprlib import repr as shown

import mmh3

from app.features.entity import MAX_KEY_BYTES, Entity, EntityError
from app.features.feast.source import FeastView, JoinKey, JoinKeyType

# Numbers of feast.types.ValueType.Enum.
_STRING, _INT32, _INT64 = 2, 3, 4

_HEAD = struct.Struct("<II")


def hash_fields(source: FeastView) -> tuple[bytes, ...]:
    """The fields of a row: its features in the order of the view, then the event time."""
    features = (mmh3.hash(f"{source.name}:{feature}", signed=False) for feature in source.features)
    return (*(struct.pack("<I", each) for each in features), f"_ts:{source.name}".encode())


class EntityKeys:
    """The Redis keys of one view's entities."""

    def __init__(self, source: FeastView) -> None:
        self._view = source.view
        by_name = sorted(enumerate(source.join_keys), key=lambda each: each[1].name)
        names = [join_key.name.encode() for _, join_key in by_name]
        self._prefix = struct.pack("<I", len(names)) + b"".join(
            _HEAD.pack(_STRING, len(name)) + name for name in names
        )
        self._project = source.project.encode()
        self._values = tuple((place, join_key, _ENCODED[join_key.type]) for place, join_key in by_name)

    def key_of(self, entity: Entity) -> bytes:
        """The key of an entity's hash; a number and its decimal text are the same.

        Raises:
            EntityError: not one value of the join key's type per entity column, or too long.
        """
        if len(entity) != len(self._values):
            raise EntityError(
                f"feature view {self._view.name}: entity {shown(entity)} takes one value for each of "
                f"{', '.join(self._view.entity)}"
            )
        parts = [self._prefix]
        for place, join_key, encoded in self._values:
            try:
                parts.append(encoded(entity[place]))
            except ValueError:
                raise self._refused(entity, entity[place], join_key) from None
        parts.append(self._project)
        key = b"".join(parts)
        if len(key) > MAX_KEY_BYTES:
            raise EntityError(
                f"feature view {self._view.name}: the entity {shown(entity)} makes a key of {len(key)} bytes; "
                f"{MAX_KEY_BYTES} are accepted"
            )
        return key

    def _refused(self, entity: Entity, part: object, join_key: JoinKey) -> EntityError:
        return EntityError(
            f"feature view {self._view.name}: entity {shown(entity)} holds {shown(part)} ({type(part).__name__}); "
            f"Feast's join key {join_key.name} is {join_key.type}: {_ACCEPTED[join_key.type]}"
        )


def _string(part: object) -> bytes:
    if not isinstance(part, str | int) or isinstance(part, bool) or part == "":
        raise ValueError
    text = str(part).encode()  # a UnicodeEncodeError is a ValueError
    return _HEAD.pack(_STRING, len(text)) + text


def _int64(part: object) -> bytes:
    return _number(part, _INT64, 8)


def _int32(part: object) -> bytes:
    return _number(part, _INT32, 4)


def _number(part: object, kind: int, size: int) -> bytes:
    if not isinstance(part, str | int) or isinstance(part, bool):
        raise ValueError
    number = int(part)
    if isinstance(part, str) and str(number) != part:  # "007" and "7" are two entities elsewhere, too
        raise ValueError
    try:
        return _HEAD.pack(kind, size) + number.to_bytes(size, "little", signed=True)
    except OverflowError as error:
        raise ValueError from error


_ENCODED: dict[JoinKeyType, Callable[[object], bytes]] = {"string": _string, "int64": _int64, "int32": _int32}
_ACCEPTED: dict[JoinKeyType, str] = {
    "string": "text that is not empty and whole numbers are accepted",
    "int64": "whole numbers of 64 bits and their decimal text are accepted",
    "int32": "whole numbers of 32 bits and their decimal text are accepted",
}
