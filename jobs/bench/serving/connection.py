"""A keep-alive HTTP/1.1 connection that has one request under way at a time. As little work per request as asyncio
allows: what the client spends, the server under test does not get."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.errors import TidegateError

_LENGTH = b"content-length:"


class ReplyError(TidegateError):
    """A reply that cannot be read."""


class Connection(asyncio.Protocol):
    """Bytes out, replies in.

    Args:
        replied: called with status and body of each reply, None where the connection was lost before it.
    """

    def __init__(self, replied: Callable[[Connection, int | None, bytes], None]) -> None:
        self._replied = replied
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._waiting = False

    @property
    def open(self) -> bool:
        """True where a request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, raw: bytes) -> None:
        """Send one request; its reply must have come before the next one."""
        assert self._transport is not None
        assert not self._waiting
        self._waiting = True
        self._transport.write(raw)

    def close(self) -> None:
        """Close it, wanting no further reply."""
        self._waiting = False
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        if self._waiting:
            self._waiting = False
            self._replied(self, None, repr(exc).encode())

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._buffer = data = self._buffer + data if self._buffer else data
        found = parse(data)
        if found is None:
            return
        status, content = found
        self._buffer = b""
        self._waiting = False
        self._replied(self, status, content)


def parse(data: bytes) -> tuple[int, bytes] | None:
    """Status and body of a reply; None while it is not complete.

    Raises:
        ReplyError: it has no Content-Length, or more follows than it declares.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].lower()
    at = head.find(_LENGTH)
    if at < 0:
        raise ReplyError(f"a reply without Content-Length: {data[:200]!r}")
    stop = head.find(b"\r\n", at)
    length = int(head[at + len(_LENGTH) : stop if stop >= 0 else None])
    content = data[end + 4 :]
    if len(content) < length:
        return None
    if len(content) > length:
        raise ReplyError(f"a reply with more than the {length} bytes that it declares: {content[:200]!r}")
    return int(data[9:12]), content
