"""A replay's own time, in Redis beside the rows: a reader has rows and time from one snapshot.

While the key is absent, the wall clock is the time. A replay of history writes the key with an expiry and renews
it, so that a replay that died holds the time for one lease at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from app.errors import InvalidArgumentError
from app.features.entity import PREFIX
from app.features.feature_row import MAX_EVENT_TIME

CLOCK_KEY = f"{PREFIX}:clock".encode()
"""No row has this key: a row's goes on after the name of its view."""

_Instant = Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENT_TIME)]


class ClockError(InvalidArgumentError, ValueError):
    """Bytes that are no clock; the message names the key."""


@dataclass(frozen=True, slots=True)
class ReplayClock:
    """A time that passed ``event`` when the wall clock read ``wall``, both microseconds since the epoch.

    Attributes:
        speed: seconds of its time in a second of wall time; 0 stands still.
    """

    event: _Instant
    wall: _Instant
    speed: Annotated[float, msgspec.Meta(ge=0)]

    def at(self, wall: int) -> int:
        """Its time when the wall clock reads ``wall``; before ``wall`` of its own, which other hosts may read, it
        stands at ``event``."""
        return self.event + int(max(wall - self.wall, 0) * self.speed)

    def pack(self) -> bytes:
        """The clock as JSON, which a person can read in Redis."""
        return msgspec.json.encode(self)

    @classmethod
    def unpack(cls, data: bytes) -> ReplayClock:
        """The inverse of :meth:`pack`.

        Raises:
            ClockError: the bytes are no clock.
        """
        try:
            return _DECODER.decode(data)
        except ValueError as error:
            raise ClockError(f"the key {CLOCK_KEY.decode()} holds no clock: {error}") from None


_DECODER = msgspec.json.Decoder(ReplayClock)
