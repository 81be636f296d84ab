"""Samples in Redis: a hash per release; a field per tick and writer, which holds that writer's sums of the tick."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from app.monitoring.sums import Arm, Metric, Sums

_ENCODER = msgspec.msgpack.Encoder()


class _Sums(msgspec.Struct, array_like=True):
    """Sums as stored; what a newer version has behind them is left out."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0


_DECODER = msgspec.msgpack.Decoder(dict[Metric, dict[Arm, _Sums]])


def key_of(release: str) -> str:
    """The Redis key of a release's samples; its hash tag is that of all that releases keep."""
    return f"tidegate:{{releases}}:samples:{release}"


def field_of(tick: int, writer: str) -> str:
    """The field of one writer's tick."""
    return f"{tick}:{writer}"


def tick_of(field: bytes) -> int:
    """The tick of a field.

    Raises:
        ValueError: it is no such field.
    """
    tick, colon, writer = field.partition(b":")
    if not (colon and writer and tick.isdigit()):
        raise ValueError(f"{field!r} is not TICK:WRITER")
    return int(tick)


def encode(sums: Mapping[Metric, Mapping[Arm, Sums]]) -> bytes:
    """The sums of a tick as stored."""
    return _ENCODER.encode(sums)


def decode(data: bytes) -> dict[Metric, dict[Arm, Sums]]:
    """The inverse of :func:`encode`.

    Raises:
        ValueError: the bytes are no sums, or none that losses from 0 to 1 could have.
    """
    try:
        stored = _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{len(data)} bytes are no samples: {error}") from error
    found = {
        metric: {arm: Sums(sums.n, sums.total, sums.squares) for arm, sums in arms.items()}
        for metric, arms in stored.items()
    }
    for metric, arms in found.items():
        for arm, sums in arms.items():
            # not total <= n to the last bit: it is a sum of floats
            if not (0 <= sums.squares <= sums.total + 1e-6 <= sums.n + 2e-6):
                raise ValueError(f"{metric} of the {arm} is {tuple(sums)}: no sums of losses from 0 to 1")
    return found
