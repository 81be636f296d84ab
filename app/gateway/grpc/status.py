"""The gRPC status of an error: the code that its class names, and its sentence as a trailer carries it.

A call that is larger than a message may be never gets here: gRPC itself answers it with RESOURCE_EXHAUSTED.
"""

from __future__ import annotations

from grpc import StatusCode

from app.errors import TidegateError

_SENTENCE_BYTES = 1300


def status_of(error: TidegateError) -> StatusCode:
    """The status code of an error."""
    return StatusCode[error.grpc_code]


def sentence(error: TidegateError) -> str:
    """The error's sentence, cut to what fits in a trailer: 8 KiB hold all of them, and each byte may take three."""
    text = str(error).encode()
    if len(text) <= _SENTENCE_BYTES:
        return str(error)
    return text[:_SENTENCE_BYTES].decode(errors="ignore") + " …"
