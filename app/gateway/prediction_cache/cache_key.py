"""The key of a request to a version, 16 bytes: requests that one answer serves have one key, all others another.

The digest is BLAKE2b-128 (RFC 7693) of one msgpack array. In msgpack each value carries its type and length, so
nothing runs into its neighbour, and text, bytes and numbers stay different. Numbers count by their bits: 0.0 and -0.0
are two values, as a model may tell them apart; all NaN are one, as they say "missing" whatever their payload.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from reprlib import repr as shown
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 16

Parameter = bool | int | float | str | None

_TEXT = frozenset((str, bytes))
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")  # parameters by name
_NO_PARAMETERS: Mapping[str, Parameter] = {}


def key_of(
    model: str,
    version: str,
    app: str,
    inputs: Mapping[str, NDArray[Any]],
    event_times: Sequence[int | None] = (),
    parameters: Mapping[str, Parameter] = _NO_PARAMETERS,
) -> bytes:
    """The key of a request to one version. Which outputs are wanted is no part of it: all are kept.

    Args:
        app: the version's application; its name is never used twice, so a version deployed anew starts with nothing.
        inputs: what the version is given, by name in any order: numbers and bools, or text as dtype object. Columns
            that follow from the clock (the age of a feature row) are left out: with them no request would ever come
            again, and the event times say the same.
        event_times: of the feature rows that the inputs were made from, microseconds since the epoch, in an order
            that follows from the request; None where there was no row.
        parameters: of the request, as far as the version sees them.

    Returns:
        16 bytes.

    Raises:
        ValueError: an input holds what is neither number nor text.
    """
    columns = _columns(inputs)
    encoded = _ENCODER.encode((model, version, app, tuple(event_times), parameters, columns))
    return blake2b(encoded, digest_size=KEY_BYTES).digest()


def _columns(inputs: Mapping[str, NDArray[Any]]) -> list[tuple[str, list[str], list[tuple[int, ...]], Any]]:
    """Inputs of one type together, which halves the cost of 90 columns: type, names, shapes, values."""
    groups: dict[np.dtype[Any], tuple[list[str], list[tuple[int, ...]], list[NDArray[Any]]]] = {}
    for name in sorted(inputs):
        array = inputs[name]
        group = groups.get(array.dtype)
        if group is None:
            group = groups[array.dtype] = ([], [], [])
        group[0].append(name)
        group[1].append(array.shape)
        group[2].append(array)
    return [
        (dtype.str, names, shapes, _text(names, arrays) if dtype.kind == "O" else _bits(dtype, names, arrays))
        for dtype, (names, shapes, arrays) in groups.items()
    ]


def _text(names: list[str], arrays: list[NDArray[Any]]) -> list[str | bytes]:
    values = [value for array in arrays for value in array.ravel().tolist()]
    if not _TEXT.issuperset(map(type, values)):
        wrong = next(value for value in values if type(value) not in _TEXT)
        raise ValueError(
            f"one of the inputs {', '.join(names)} holds {shown(wrong)} ({type(wrong).__name__}); "
            "str and bytes are accepted"
        )
    return values


def _bits(dtype: np.dtype[Any], names: list[str], arrays: list[NDArray[Any]]) -> bytes:
    if dtype.kind not in "biuf":
        raise ValueError(f"inputs {', '.join(names)} are {dtype}; numbers, bools and text are accepted")
    bits = b"".join([array.tobytes() for array in arrays])
    if dtype.kind == "f":
        values = np.frombuffer(bits, dtype)
        missing = np.isnan(values)
        if missing.any():
            return np.where(missing, dtype.type(np.nan), values).astype(dtype).tobytes()
    return bits
