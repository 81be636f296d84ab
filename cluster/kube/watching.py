"""A watch that survives broken connections: the present objects first, then changes, until a deadline.

The protocol: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes. A list
gives a revision; a watch from it gives what came after; each line's object, and each bookmark, moves the revision on.
A dropped connection resumes from the last revision seen. A revision that the server has forgotten (410) means a new
list, and what has gone between the two is given as DELETED with the object as it was last seen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from urllib3.exceptions import HTTPError, ReadTimeoutError

from cluster.kube.errors import ExpiredError, KubeError, UnreachableError
from cluster.kube.manifest import Object
from cluster.kube.transport import Request, Transport, backoff_s

SERVER_S = 240
"""Longest life of a watch, in seconds: it is resumed then, which also tells a dead connection from a quiet one."""
_GRACE_S = 10.0
_QUICK_S = 1.0
"""A connection that ends sooner, without an event (a proxy cut it, its revision is gone), is no progress."""
_FAILURES = 10
"""Broken connections in succession, about half a minute of backing off, after which the server is gone."""

Event = tuple[str, Object]


class Watch:
    """One watch over a collection.

    Args:
        listing: gives all objects that match, and the list's revision.
        request: the collection's path, with the selectors in its query.
        deadline: when to end, by ``time.monotonic()``.
    """

    def __init__(
        self,
        transport: Transport,
        listing: Callable[[], tuple[list[Object], str]],
        request: Request,
        deadline: float,
    ) -> None:
        self._transport = transport
        self._listing = listing
        self._request = request
        self._deadline = deadline
        self._known: dict[str, Object] = {}
        self._revision: str | None = None

    def events(self) -> Iterator[Event]:
        """The events, in the server's order.

        Raises:
            ApiError: the server refuses to list or to watch.
            UnreachableError: it is not there any more.
        """
        failures = fruitless = 0
        while time.monotonic() < self._deadline:
            if self._revision is None:
                yield from self._relist()
            began, received = time.monotonic(), False
            try:
                for event in self._follow():
                    failures, received = 0, True
                    if event is not None:
                        yield event
            except ExpiredError:
                self._revision = None
            except ReadTimeoutError:
                continue  # silence until the deadline, or a connection that died without a word
            except (HTTPError, UnreachableError) as error:
                failures += 1
                if failures > _FAILURES:
                    raise UnreachableError(
                        f"{self._request.doing}: {self._transport.server} is gone: {error}"
                    ) from error
                self._sleep(backoff_s(failures))
                continue
            fruitless = 0 if received or time.monotonic() - began >= _QUICK_S else fruitless + 1
            if fruitless:
                self._sleep(backoff_s(fruitless))

    def _sleep(self, wait_s: float) -> None:
        time.sleep(min(wait_s, max(self._deadline - time.monotonic(), 0)))

    def _relist(self) -> Iterator[Event]:
        objects, self._revision = self._listing()
        found = {_identity(obj): obj for obj in objects}
        gone = [obj for identity, obj in self._known.items() if identity not in found]
        before, self._known = self._known, found
        yield from (("DELETED", obj) for obj in gone)
        for identity, obj in found.items():
            old = before.get(identity)
            if old is None:
                yield "ADDED", obj
            elif old["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
                yield "MODIFIED", obj

    def _follow(self) -> Iterator[Event | None]:
        """One connection's events; ``None`` for a line that only moves the revision."""
        left = self._deadline - time.monotonic()
        server_s = max(1, min(SERVER_S, round(left)))
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(server_s)}
        if self._revision:
            query["resourceVersion"] = self._revision
        request = Request(self._request.doing, "GET", self._request.path, self._request.query + tuple(query.items()))
        for line in self._transport.stream(request, idle_s=max(0.05, min(left, server_s + _GRACE_S))):
            if not line.strip():
                continue
            try:
                message = json.loads(line)
                kind, obj = str(message["type"]), dict(message["object"])
            except (ValueError, KeyError, TypeError) as error:
                raise UnreachableError(f"a line of the watch is broken: {line[:200]!r}") from error
            if kind == "ERROR":
                raise self._refusal(obj)
            self._revision = obj["metadata"]["resourceVersion"]
            yield None if kind == "BOOKMARK" else self._learn(kind, obj)
            if time.monotonic() >= self._deadline:
                return

    def _learn(self, kind: str, obj: Object) -> Event:
        if kind == "DELETED":
            self._known.pop(_identity(obj), None)
        else:
            self._known[_identity(obj)] = obj
        return kind, obj

    def _refusal(self, status: dict[str, Any]) -> KubeError:
        return self._transport.error(self._request, int(status.get("code", 500)), json.dumps(status).encode())


def _identity(obj: Object) -> str:
    # By uid: an object that was deleted and created again under its name meanwhile is two objects.
    metadata = obj["metadata"]
    return str(metadata.get("uid") or f"{metadata.get('namespace')}/{metadata.get('name')}")
