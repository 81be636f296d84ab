"""Content codings of HTTP: gzip and deflate, of requests and of replies. Pure.

Source: RFC 9110, sections 8.4.1 (codings; ``deflate`` is zlib's format) and 12.5.3 (``Accept-Encoding``).
"""

from __future__ import annotations

import zlib

from app.errors import InvalidArgumentError, TooLargeError, UnsupportedMediaError

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_LEVEL = 1  # a reply is read once: time counts before size


def coding_of(content_encoding: str) -> str | None:
    """The coding of a request's body, None for none.

    Raises:
        UnsupportedMediaError: neither gzip nor deflate, or several at once.
    """
    coding = content_encoding.strip().lower()
    if coding in ("", "identity"):
        return None
    if coding not in _WINDOW_BITS:
        raise UnsupportedMediaError(
            f"Content-Encoding is {content_encoding!r}; accepted are {', '.join(_WINDOW_BITS)} or none"
        )
    return coding


def decompress(coding: str, body: bytes, limit: int) -> bytes:
    """Returns ``body`` decompressed.

    Args:
        coding: one that ``coding_of`` gave.
        limit: most bytes that may come out; no more are ever made.

    Raises:
        InvalidArgumentError: not one complete compressed stream.
        TooLargeError: more than ``limit`` bytes would come out.
    """
    stream = zlib.decompressobj(_WINDOW_BITS[coding])
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidArgumentError(f"the body is not {coding} as its Content-Encoding says: {error}") from error
    if len(plain) > limit:
        raise TooLargeError(f"a body may have {limit} bytes; this one has more when decompressed")
    if not stream.eof:
        raise InvalidArgumentError(f"the body ends before its {coding} stream does")
    # A second gzip member too: each would copy what follows it, and a body could have very many.
    if stream.unused_data:
        raise InvalidArgumentError(
            f"the body has {len(stream.unused_data)} bytes behind its {coding} stream; send one stream"
        )
    return plain


def compress(coding: str, body: bytes) -> bytes:
    """Returns ``body`` in a coding that ``requested_coding`` gave."""
    return zlib.compress(body, _LEVEL, _WINDOW_BITS[coding])


def requested_coding(accept_encoding: str) -> str | None:
    """The coding in which the caller wants its reply, None for none.

    Only a single coding is a wish (so tritonclient asks). A list is the default of an HTTP library, sent with every
    request: it permits, and compressing what crosses a fast network costs more than it saves.
    """
    coding = accept_encoding.strip().lower()
    return coding if coding in _WINDOW_BITS else None
