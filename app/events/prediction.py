"""The record of one prediction, and its bytes: a msgpack array of the fields in their order.

Fields are only ever added, at the end and with a default, so that a reader of any release reads the records of any
other.
"""

from __future__ import annotations

import hashlib

import msgspec

from app.events.output import Output


class ViewTimes(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The rows of one feature view in a request.

    Attributes:
        fresh, stale, missing: entities by status.
        oldest, newest: event times of the rows used, microseconds since the epoch; None without a row.
    """

    fresh: int
    stale: int
    missing: int
    oldest: int | None = None
    newest: int | None = None


class Prediction(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """One prediction, answered or failed.

    Attributes:
        event_id: unique; a record that is read twice has the same one (``EventIds``).
        at: instant of the reply, microseconds since the epoch.
        model: the registered model.
        version: the version that answered; None where none did.
        request_id: the caller's, or the gateway's.
        trace_id: 32 hex digits.
        key_id: the API key's public part, ``admin`` or ``anonymous``.
        sticky: hash of the sticky key (``hash_sticky_key``): links the requests of one entity.
        placement: ``inline`` or ``dedicated``; None where no version answered.
        weight: the version's share of the traffic when it was picked, 0 to 1.
        rows: rows predicted.
        status: HTTP status of the reply.
        total_us: from the request's arrival to the reply, microseconds.
        version_us: of that inside the version; 0 where none was asked.
        cached: true where the reply came from the prediction cache.
        outputs: by name (``summarise``).
        features: by feature view; empty for a model without.
        failed: versions that were asked and gave no answer, one an attempt, before ``version`` did or none.
        mirrored: true where another version answered the caller; this one, a release's challenger, was asked unseen.
        pinned: true where the request itself named the version that must answer: no split has picked it.
    """

    event_id: str
    at: int
    model: str
    version: str | None
    request_id: str
    trace_id: str
    key_id: str
    sticky: str
    placement: str | None
    weight: float
    rows: int
    status: int
    total_us: int
    version_us: int
    cached: bool = False
    outputs: dict[str, Output] = {}
    features: dict[str, ViewTimes] = {}
    failed: list[str] = []
    mirrored: bool = False
    pinned: bool = False

    def encode(self) -> bytes:
        """The record as stored.

        Raises:
            TypeError: a field holds what msgpack has no type for.
        """
        return _encoder.encode(self)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Prediction)


def decode(data: bytes) -> Prediction | None:
    """The inverse of :meth:`Prediction.encode`; None where the bytes are no record."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError:
        return None


def hash_sticky_key(key: str) -> str:
    """16 hex digits that stand for a sticky key.

    They keep the key itself out of the log, but whoever can guess keys can find them again: a pseudonym, no more.
    """
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
