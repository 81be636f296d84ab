"""A fake API server: real HTTP on 127.0.0.1, answers that were recorded, nothing else.

It decides nothing. What it is not told to answer gets a 599 with an explanation and is kept in ``unexpected``, which
the fixture asserts to be empty. An answer is *recorded* (``recorded``: from a real server, see the specifications'
README) or *composed* by a test, for what no recording shows; a composed one carries its reason.

Two requests are the same when these are: the method; the decoded path; the query, in any order; for a write the
content type and the body as a value. Before that, what changes no answer is taken out:

- ``force=false``, and ``propagationPolicy=Background``, which is a custom resource's default;
- a watch's ``timeoutSeconds`` and ``allowWatchBookmarks``, and ``watch=1`` is ``watch=true``;
- ``limit`` of 500 or more without ``continue``: no recorded list is that long;
- the ``DeleteOptions`` of a DELETE's body count as its query, as the server takes them.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

from tests.cluster.recordings import TRANSCRIPTS

UNEXPECTED = 599
WAIT_S = 20.0


@dataclass(frozen=True)
class Hold:
    """In a stream: go on once the event is set."""

    until: threading.Event


@dataclass(frozen=True)
class Drop:
    """In a stream or instead of an answer: the socket is closed, in the middle of a chunk where ``mid_chunk``."""

    mid_chunk: bool = False


Part = dict[str, Any] | bytes | Hold | Drop
"""Of a stream: an object as one line, raw bytes, or something that happens."""


@dataclass(frozen=True)
class SentRequest:
    """A request without what changes no answer."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    content_type: str = ""
    body: Any = None


@dataclass(frozen=True)
class Exchange:
    """A request and its answer: a body, or a stream of parts, or ``Drop``."""

    request: SentRequest
    status: int = 200
    body: Any = None
    stream: tuple[Part, ...] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    drop: Drop | None = None
    composed: str = ""


def normalised(method: str, target: str, content_type: str = "", body: Any = None) -> SentRequest:
    """The request as it is compared."""
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if method == "DELETE":
        query |= {name: str(value) for name, value in (body or {}).items() if name not in {"apiVersion", "kind"}}
        body, content_type = None, ""
    if query.get("watch") in {"1", "true"}:
        query["watch"] = "true"
        query.pop("timeoutSeconds", None)
        query.pop("allowWatchBookmarks", None)
    if int(query.get("limit", 0)) >= 500 and "continue" not in query:
        del query["limit"]
    for name, default in (("force", "false"), ("propagationPolicy", "Background")):
        if query.get(name) == default:
            del query[name]
    content_type = "" if body is None else content_type.partition(";")[0].strip()
    return SentRequest(method, unquote(parts.path), tuple(sorted(query.items())), content_type, body)


@cache
def transcript(name: str) -> tuple[dict[str, Any], ...]:
    """The exchanges of a ``.json`` transcript, or the lines of a ``.jsonl`` one."""
    folder = TRANSCRIPTS
    if (folder / f"{name}.json").is_file():
        return tuple(json.loads((folder / f"{name}.json").read_text())["exchanges"])
    return tuple(json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines())


def recorded(name: str, note: str) -> Exchange:
    """The one exchange of the transcript whose note is ``note`` or, where none is, contains it."""
    exchanges = [found.get("drive", found) for found in transcript(name) if "watch" not in found]
    matching = [found for found in exchanges if note == found.get("note")]
    matching = matching or [found for found in exchanges if note in found.get("note", "")]
    assert len(matching) == 1, f"{len(matching)} exchanges of {name} have {note!r} in their note"
    request, response = matching[0]["request"], matching[0]["response"]
    asked = normalised(
        request["method"], request["path"], request["headers"].get("Content-Type", ""), request.get("body")
    )
    lines = response.get("body_lines")
    if lines is not None and response["status"] == 200:
        return Exchange(asked, 200, stream=tuple(lines))
    keep = {"Warning", "Retry-After"}
    headers = tuple(
        (key, value)
        for key, values in response.get("headers", {}).items()
        for value in (values if isinstance(values, list) else [values])
        if key in keep and value
    )
    return Exchange(asked, response["status"], response.get("body") if lines is None else lines[0], headers=headers)


def composed(
    why: str,
    method: str,
    target: str,
    answer: Any = None,
    *,
    status: int = 200,
    sent: Any = None,
    content_type: str = "",
    headers: tuple[tuple[str, str], ...] = (),
) -> Exchange:
    """An exchange that no transcript has, and why it is needed. A tuple as ``answer`` is a stream."""
    asked = normalised(method, target, content_type, sent)
    if isinstance(answer, Drop):
        return Exchange(asked, status, drop=answer, composed=why)
    if isinstance(answer, tuple):
        return Exchange(asked, status, stream=answer, composed=why)
    return Exchange(asked, status, answer, headers=headers, composed=why)


def moved(exchange: Exchange, **changes: Any) -> Exchange:
    """The same answer to another request: ``changes`` are fields of ``SentRequest``."""
    return replace(exchange, request=replace(exchange.request, **changes))


@dataclass
class FakeApiServer:
    """Serves until closed.

    Args:
        exchanges: what is answered. Of several for one request each is given once, then the last again and again.
        in_order: they must come in exactly this order, each once.
    """

    exchanges: Sequence[Exchange]
    in_order: bool = False
    requests: list[SentRequest] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._left = list(self.exchanges)
        fake = self

        class Handler(_Handler):
            server_state = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT_S)

    def unused(self) -> list[SentRequest]:
        """Requests that should have come in order and did not."""
        return [exchange.request for exchange in self._left] if self.in_order else []

    def answer(self, asked: SentRequest) -> Exchange | str:
        """The exchange, or what is wrong with the request."""
        with self._lock:
            self.requests.append(asked)
            if self.in_order:
                if self._left and self._left[0].request == asked:
                    return self._left.pop(0)
                expected = [exchange.request for exchange in self._left[:1]]
            else:
                matching = [exchange for exchange in self._left if exchange.request == asked]
                if matching:
                    if len(matching) > 1:
                        self._left.remove(matching[0])
                    return matching[0]
                expected = [exchange.request for exchange in self._left if exchange.request.path == asked.path]
            problem = f"not recorded: {asked}\nfor comparison: {_joined(expected)}"
            self.unexpected.append(problem)
            return problem


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: FakeApiServer

    def _serve(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = yaml.safe_load(text) if text else None
        asked = normalised(self.command, self.path, self.headers.get("Content-Type", ""), body)
        found = self.server_state.answer(asked)
        if isinstance(found, str):
            self._send(UNEXPECTED, found.encode(), "text/plain", ())
        elif found.drop is not None:
            self._drop(found.drop)
        elif found.stream is not None:
            self._stream(found.stream)
        elif isinstance(found.body, str):
            self._send(found.status, found.body.encode(), "text/plain", found.headers)
        else:
            self._send(found.status, json.dumps(found.body).encode(), "application/json", found.headers)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815  (the names that http.server looks for)

    def _send(self, status: int, body: bytes, kind: str, headers: Iterable[tuple[str, str]]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, parts: Iterable[Part]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # whoever listened has gone at its deadline
            for part in parts:
                if isinstance(part, Hold):
                    assert part.until.wait(WAIT_S), "the test did not let the stream go on"
                elif isinstance(part, Drop):
                    self._drop(part)
                    return
                else:
                    line = part if isinstance(part, bytes) else json.dumps(part).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")

    def _drop(self, how: Drop) -> None:
        if how.mid_chunk:
            self.wfile.write(b'40\r\n{"type": "ADDED", "obj')
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """No line a request: they are kept in ``asked``."""


def _joined(found: Sequence[SentRequest]) -> str:
    return "\n  ".join(map(str, found)) or "nothing more is expected"
