"""Go's durations, as ``time.ParseDuration`` reads them."""

from __future__ import annotations

import re

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]+)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)|\.([0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_MOST = 2**63


def nanoseconds(text: str) -> int:
    """``"1h30m"``, ``"1.5s"``, ``"-2ms"``, ``"0"``: a whole number of nanoseconds, fractions of one cut off.

    Raises:
        ValueError: not a duration, or one of more than 2**63 ns (292 years).
    """
    refused = ValueError(f"{text!r} is no duration; 300ms, 90s, 1h30m are")
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if body == "0":
        return 0
    if not body:
        raise refused
    total, position = 0, 0
    while position < len(body):
        part = _PART.match(body, position)
        if part is None:
            raise refused
        whole, fraction, unit = part[1] or "0", part[2] or part[4] or "", _UNITS[part[3] or part[5]]
        total += int(whole) * unit
        if fraction:
            total += int(fraction) * unit // 10 ** len(fraction)
        if total > _MOST:
            raise refused
        position = part.end()
    if total == _MOST and sign == 1:
        raise refused
    return sign * total
