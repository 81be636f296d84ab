"""Times as a person writes them on the command line."""

from __future__ import annotations

import argparse
import re

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_FORM = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def seconds(text: str) -> float:
    """``90``, ``90s``, ``15m``, ``1h`` or ``1d`` in seconds; for ``type=`` of an option.

    Raises:
        argparse.ArgumentTypeError: another form, or zero.
    """
    found = _FORM.fullmatch(text)
    value = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time above zero; 90, 90s, 15m, 1h or 1d is accepted")
    return value
