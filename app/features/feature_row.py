"""A feature row as bytes: a msgpack array of schema id, event time and the values in the order of the features.

https://github.com/msgpack/msgpack/blob/master/spec.md; the write script in ``online.py`` reads the event time too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import msgspec

from app.features.dtypes import WIRE, Value, fitted, rounded
from app.features.view import FeatureView

MAX_EVENT_TIME = 2**53 - 1
"""Lua, which compares event times in Redis, has doubles only; the year is 2255."""

_EventTime = Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENT_TIME)]
_HEADER = msgspec.msgpack.Decoder(list[msgspec.Raw])
_TEXT = msgspec.msgpack.Decoder(str)


@dataclass(frozen=True, slots=True)
class Row:
    """The values that were known of an entity.

    Attributes:
        event_time: microseconds since the epoch, UTC.
        values: plain Python values in the order of the view's features; None says that the source had none.
    """

    event_time: int
    values: tuple[Value | None, ...]


class Unreadable(Enum):
    """The reason why bytes are no row of a view."""

    CORRUPT = "corrupt"
    OTHER_SCHEMA = "other_schema"


class RowCodec:
    """Packs and unpacks the rows of one view's schema."""

    def __init__(self, view: FeatureView) -> None:
        self._view = view
        # `tuple[...]`, of as many types as the view has features.
        types = tuple(WIRE[feature.dtype] | None for feature in view.features)
        self._values: Any = tuple.__class_getitem__(types)
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(
            tuple.__class_getitem__((str, _EventTime, *types))
        )
        self._encoder = msgspec.msgpack.Encoder()
        self._float32 = tuple(place for place, feature in enumerate(view.features) if feature.dtype == "float32")

    def pack(self, row: Row) -> bytes:
        """The row as bytes; float32 values are rounded to their precision.

        Raises:
            ValueError: the event time or a value does not fit; the message names it.
        """
        if type(row.event_time) is not int or not 0 <= row.event_time <= MAX_EVENT_TIME:
            raise ValueError(
                f"feature view {self._view.name}: event time {row.event_time!r} takes microseconds since the epoch, "
                f"0 to {MAX_EVENT_TIME}"
            )
        try:
            values = list(msgspec.convert(row.values, self._values))
            for place in self._float32:
                if values[place] is not None:
                    values[place] = rounded(values[place])
            return self._encoder.encode((self._view.schema, row.event_time, *values))
        except (TypeError, ValueError, OverflowError):
            raise self._explained(row) from None

    def unpack(self, data: bytes) -> Row | Unreadable:
        """The row, or why there is none; never raises."""
        try:
            schema, event_time, *values = self._decoder.decode(data)
        except (ValueError, RecursionError):
            return Unreadable.OTHER_SCHEMA if self._is_other(data) else Unreadable.CORRUPT
        return Row(event_time, tuple(values)) if schema == self._view.schema else Unreadable.OTHER_SCHEMA

    def _is_other(self, data: bytes) -> bool:
        try:
            return _TEXT.decode(_HEADER.decode(data)[0]) != self._view.schema
        except (ValueError, IndexError, RecursionError):
            return False

    def _explained(self, row: Row) -> ValueError:
        where = f"feature view {self._view.name}"
        if len(row.values) != len(self._view.features):
            return ValueError(f"{where}: a row takes {len(self._view.features)} values; got {len(row.values)}")
        for feature, value in zip(self._view.features, row.values, strict=True):
            try:
                if value is not None:
                    fitted(feature.dtype, value)
            except ValueError as error:
                return ValueError(f"{where}: feature {feature.name}: {error}")
        raise AssertionError(f"{where}: refused a row whose values all fit: {row}")
