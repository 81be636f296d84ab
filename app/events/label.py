"""The record of one label, and its bytes: a msgpack array of the fields in their order, as in ``prediction``."""

from __future__ import annotations

import msgspec


class Label(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The outcome of one prediction: of that with the request id, else of the entity's nearest to an instant.

    Attributes:
        event_id: unique; a record that is read twice has the same one (``EventIds``).
        at: when the label became known, microseconds since the epoch.
        model: the registered model.
        label: 0 to 1.
        key_id: the public part of the API key that sent it, ``admin`` or ``anonymous``.
        request_id: the prediction's; None where the entity says which.
        sticky: hash of the entity's sticky key (``hash_sticky_key``); None with a request id.
        predicted_at: about when the prediction was made, microseconds since the epoch; None with a request id.
    """

    event_id: str
    at: int
    model: str
    label: float
    key_id: str
    request_id: str | None = None
    sticky: str | None = None
    predicted_at: int | None = None

    def encode(self) -> bytes:
        """The record as stored."""
        return _encoder.encode(self)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Label)


def decode(data: bytes) -> Label | None:
    """The inverse of :meth:`Label.encode`; None where the bytes are no record."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError:
        return None
