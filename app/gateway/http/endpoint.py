"""One HTTP request and its reply, as plain as ASGI gives them: raw routes run on this instead of a framework."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from starlette.types import Receive, Scope, Send

from app.errors import InvalidArgumentError, TidegateError, TooLargeError
from app.gateway.http import content_coding

log = logging.getLogger(__name__)

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request.

    Attributes:
        path: the route's path parameters.
        headers: by lower-case name; of a repeated header the last.
    """

    path: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    receive: Receive

    def header(self, name: bytes) -> str | None:
        """A header's value, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, limit: int) -> bytes:
        """The body, decompressed; not empty.

        Args:
            limit: most bytes accepted, as sent and as decompressed.

        Raises:
            TooLargeError: more bytes.
            UnsupportedMediaError: a coding that is not read here.
            InvalidArgumentError: empty, cut off, or not compressed as it says.
        """
        coding = content_coding.coding_of(self.header(b"content-encoding") or "")
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            raise TooLargeError(f"a body may have {limit} bytes; this one declares {int(declared)}")
        plain = await self._received(limit)
        if coding is not None:
            plain = await asyncio.to_thread(content_coding.decompress, coding, plain, limit)
        if not plain:
            raise InvalidArgumentError("the body is empty; send an inference request")
        return plain

    async def _received(self, limit: int) -> bytes:
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            whole: bytes = message.get("body", b"")  # as nearly always: one piece, and no copy
            if len(whole) <= limit:
                return whole
        body = bytearray(message.get("body", b""))
        while message.get("more_body", False):
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise InvalidArgumentError("the caller went away before the body was through")
            body += message.get("body", b"")
            if len(body) > limit:
                break
        if len(body) > limit:
            raise TooLargeError(f"a body may have {limit} bytes; this one has more")
        return bytes(body)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One HTTP reply."""

    body: bytes
    status: int = 200
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


async def compressed(exchange: Exchange, answer: HttpReply) -> HttpReply:
    """``answer`` in the coding that the caller asks for, if it asks for one."""
    accepted = exchange.headers.get(b"accept-encoding")
    coding = content_coding.requested_coding(accepted.decode("latin-1")) if accepted is not None else None
    if coding is None:
        return answer
    body = await asyncio.to_thread(content_coding.compress, coding, answer.body)
    return HttpReply(body, answer.status, answer.media_type, {**answer.headers, "content-encoding": coding})


class Endpoint:
    """An ASGI application for one route.

    Args:
        handle: makes the answer.
        failed: a protocol's answer to an error of the gateway's tree.
    """

    def __init__(
        self,
        handle: Callable[[Exchange], Awaitable[HttpReply]],
        failed: Callable[[TidegateError], HttpReply],
    ) -> None:
        self._handle, self._failed = handle, failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope["path_params"], dict(scope["headers"]), receive)
        try:
            answer = await self._handle(exchange)
        except TidegateError as error:
            answer = self._failed(error)
            answer = replace(answer, headers={**answer.headers, **error.headers})
        except Exception as error:
            log.exception("a request failed in the gateway itself")
            answer = self._failed(TidegateError(f"the gateway failed ({type(error).__name__}); its log says more"))
        headers = [
            (b"content-type", answer.media_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            *[(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()],
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def failed(error: TidegateError) -> HttpReply:
    """An error as most protocols have it: ``{"error": sentence}``."""
    return HttpReply(json.dumps({"error": str(error)}).encode(), error.status)
