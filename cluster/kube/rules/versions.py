"""Ray's version as the operator reads it (k8s.io/apimachinery/pkg/util/version, ``ParseGeneric``)."""

from __future__ import annotations

import re

_VERSION = re.compile(r"\s*v?([0-9]+(?:\.[0-9]+)*).*")
_LARGEST = 2**64 - 1

Version = tuple[int, ...]


def parse(text: str) -> Version:
    """The leading numbers, without trailing zeros: ``2.56.0rc1`` and ``2.56.0.dev0`` are both (2, 56), as 2.56.0 is.

    A commit, ``nightly`` or ``2`` is no version.

    Raises:
        ValueError: fewer than two numbers in front, or a first one with a leading zero.
    """
    found = _VERSION.fullmatch(text)
    parts = found[1].split(".") if found else []
    if len(parts) < 2 or (parts[0].startswith("0") and parts[0] != "0") or any(int(p) > _LARGEST for p in parts):
        raise ValueError(f"{text!r} is no version; 2.60.0 and 2.60.0rc1 are")
    numbers = [int(part) for part in parts]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def shortfall(text: str, least: str) -> str | None:
    """What is wrong with a ``rayVersion`` that must be at least ``least``; ``None`` where nothing is."""
    wanted = f"{least} or later, numbers in front (2.60.0, 2.60.0rc1; no commit, no 'nightly')"
    try:
        return None if parse(text) >= parse(least) else wanted
    except ValueError:
        return wanted
