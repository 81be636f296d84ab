"""The identity of a request in logs, events and traces: its request id and its W3C trace context. Pure.

https://www.w3.org/TR/trace-context/ (sections 3.2, 3.3 and 4.3): a child of the caller's span, or a trace of its own.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

MAX_REQUEST_ID = 128
"""Longest request id that is taken over, characters."""
MAX_TRACESTATE = 512
"""Longest ``tracestate`` that is passed on, characters: what section 3.3.1.1 asks for at least."""
MAX_MEMBERS = 32

_KNOWN_FLAGS = 0x03
"""``sampled`` and, of level 2, ``random-trace-id``; section 3.2.2.5 has the others set to zero."""
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KEY = r"(?:[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
_MEMBER = re.compile(
    rf"[ \t]*(?:({_KEY})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e])?[ \t]*"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of one request.

    Attributes:
        request_id: the caller's, or a fresh one.
        trace_id: 32 hex digits, the caller's or fresh.
        span_id: 16 hex digits: this request's own span.
        flags: the trace flags, 2 hex digits.
        tracestate: the caller's, unchanged; None where there is none to pass on.
    """

    request_id: str
    trace_id: str
    span_id: str
    flags: str = "00"
    tracestate: str | None = None

    @property
    def traceparent(self) -> str:
        """The header that is passed on and sent back: this request as the parent."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def identify(
    request_id: str | None = None, traceparent: str | None = None, tracestate: str | None = None
) -> Identity:
    """The identity of a request with these headers; what is not valid in them counts as absent.

    Args:
        request_id: printable ASCII, 1 to 128 characters.
        traceparent: version 00, or the part of a later version that version 00 can read.
        tracestate: all headers of that name, joined by commas; dropped without a valid ``traceparent``.
    """
    fresh = f"{random.getrandbits(320):080x}"
    if not (request_id and len(request_id) <= MAX_REQUEST_ID and request_id.isascii() and request_id.isprintable()):
        request_id = fresh[:32]
    parent = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if parent is None or (parent[5] is not None and parent[1] == "00"):
        return Identity(request_id, fresh[32:64], fresh[64:])
    flags = f"{int(parent[4], 16) & _KNOWN_FLAGS:02x}"
    return Identity(request_id, parent[2], fresh[64:], flags, _passed_on(tracestate))


def _passed_on(tracestate: str | None) -> str | None:
    if not tracestate or len(tracestate) > MAX_TRACESTATE:
        return None
    members = [_MEMBER.fullmatch(member) for member in tracestate.split(",")]
    keys = [member and member[1] for member in members]
    named = [key for key in keys if key]
    if None in members or len(members) > MAX_MEMBERS or not named or len(set(named)) < len(named):
        return None
    return tracestate
