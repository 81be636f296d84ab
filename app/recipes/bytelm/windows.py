"""Bytes as rows: consecutive windows of the corpus, each with the bytes that follow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def windows(text: bytes, sequence: int) -> dict[str, NDArray[np.uint8]]:
    """Columns ``tokens`` and ``targets``, each (rows, sequence): every byte but the first is a target once; what is
    left after whole windows is not used.

    Raises:
        ValueError: not one window fits.
    """
    flat = np.frombuffer(text, np.uint8)
    rows = (len(flat) - 1) // sequence
    if rows < 1:
        raise ValueError(f"sequence = {sequence}: accepted is less than {len(flat)}, the bytes of the corpus")
    used = rows * sequence
    return {"tokens": flat[:used].reshape(rows, sequence), "targets": flat[1 : used + 1].reshape(rows, sequence)}
