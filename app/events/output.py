"""Outputs in an event: small ones whole, of larger ones the shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from numpy.typing import NDArray

MAX_OUTPUT_BYTES = 256
"""Of all values of a record together; text counts by its characters."""


class Output(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One output.

    Attributes:
        shape: its dimensions.
        values: its values in row-major order; None where they are too large to be kept.
    """

    shape: tuple[int, ...]
    values: list[Any] | None  # numbers, truth values, text or bytes; msgspec has no union of str and bytes


def summarise(outputs: Mapping[str, NDArray[Any]], limit: int = MAX_OUTPUT_BYTES) -> dict[str, Output]:
    """The outputs as an event keeps them. The arrays are copied or left, never held.

    Args:
        outputs: arrays by output name; text as dtype object, of ``str`` or ``bytes``.
        limit: bytes that the values may have together. Outputs are taken in their order while they fit.
    """
    kept = {}
    for name, array in outputs.items():
        size = _size(array, limit)
        if size <= limit:
            limit -= size
            kept[name] = Output(array.shape, array.ravel().tolist())
        else:
            kept[name] = Output(array.shape, None)
    return kept


def _size(array: NDArray[Any], limit: int) -> int:
    if array.dtype.kind != "O":
        return array.nbytes if array.dtype.kind in "biuf" else limit + 1
    if array.size > limit:  # not worth counting
        return limit + 1
    if not all(isinstance(value, str | bytes) for value in array.flat):
        return limit + 1
    return sum(max(1, len(value)) for value in array.flat)


def describe(outputs: Mapping[str, Output]) -> str:
    """The outputs on one line, for people."""
    return "  ".join(f"{name}={_shown(output)}" for name, output in outputs.items())


def _shown(output: Output) -> str:
    if output.values is None:
        return f"[{'×'.join(map(str, output.shape))}]"
    texts = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in output.values]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
