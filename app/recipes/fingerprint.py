"""The fingerprint of a recipe's data, by which a run recognises the data that it began with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from app.training.recipe import Columns


def fingerprint(parts: Mapping[str, Columns]) -> str:
    """SHA-256, hex, over names, types, shapes and bytes of all arrays, by the name of their part."""
    digest = hashlib.sha256()
    for part, columns in sorted(parts.items()):
        for name, array in sorted(columns.items()):
            digest.update(f"{part}/{name}/{array.dtype.str}/{array.shape}/".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
