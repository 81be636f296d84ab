"""Client of an API server: objects in, objects out, errors of ``cluster.kube.errors``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import kubernetes

from cluster.kube.discovery import Discovery
from cluster.kube.errors import ExpiredError, NotFoundError
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.transport import Request, Transport
from cluster.kube.watching import Watch

_APPLY = "application/apply-patch+yaml"
_JSON_PATCH = "application/json-patch+json"
_PAGE = 500
_LISTS = 3

Query = tuple[tuple[str, str], ...]
Objects = list[Object]
Operations = list[dict[str, Any]]
"""A JSON patch (RFC 6902)."""


class Kube:
    """One API server.

    Every call raises ``ApiError`` (its class says why) where the server refuses and ``UnreachableError`` where it
    does not answer; what is retried meanwhile: ``cluster.kube.transport``.

    Args:
        client: address and credentials (``cluster.kube.connection`` makes it).
        field_manager: the owner of the fields that are written.
        timeout_s: for one call with its retries, seconds; watches have deadlines of their own.
        page: objects a page of a list.
        warn: called with each warning of the server; by default they are ignored.
    """

    def __init__(
        self,
        client: kubernetes.client.ApiClient,
        *,
        field_manager: str = "tidegate",
        timeout_s: float = 30.0,
        page: int = _PAGE,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._transport = Transport(client, timeout_s, warn)
        self._discovery = Discovery(self._transport)
        self._page = page
        self.field_manager = field_manager
        self.server = self._transport.server

    def get(self, key: Key) -> Object:
        """Returns the object.

        Raises:
            NotFoundError: there is none.
        """
        return self._send("read", key)  # type: ignore[no-any-return]

    def find(self, key: Key) -> Object | None:
        """Returns the object, or ``None`` where there is none. A kind that is missing raises ``MissingKindError``."""
        try:
            return self.get(key)
        except NotFoundError:
            return None

    def list(
        self, api_version: str, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> Objects:
        """Returns all objects that the selectors match, in the server's order; of all namespaces for ``None``."""
        return self._list(self._collection("list", api_version, kind, namespace, labels, fields), api_version, kind)[
            0
        ]

    def apply(self, obj: Object, *, force: bool = False, dry_run: bool = False) -> Object:
        """Applies on the server: ``field_manager`` owns the fields given; returns the object.

        Raises:
            FieldConflictError: another manager owns one of them with another value; ``force`` takes it over.
            InvalidError: the object does not follow the kind's schema.
        """
        query: Query = (("fieldManager", self.field_manager),)
        if force:
            query += (("force", "true"),)
        return self._send("apply", key_of(obj), "PATCH", obj, _APPLY, query + _dry(dry_run))  # type: ignore[no-any-return]

    def json_patch(self, key: Key, operations: Operations, *, dry_run: bool = False) -> Object:
        """Applies a patch of RFC 6902, all or nothing. One with a ``test`` can be sent twice: the second fails it.

        Raises:
            TestFailedError: a ``test`` or a path did not hold.
            InvalidError: the result does not follow the kind's schema.
        """
        query = (("fieldManager", self.field_manager), *_dry(dry_run))
        guarded = any(operation["op"] == "test" for operation in operations)
        return self._send("patch", key, "PATCH", operations, _JSON_PATCH, query, idempotent=guarded)  # type: ignore[no-any-return]

    def delete(self, key: Key, *, propagation: str = "Background", dry_run: bool = False) -> Object | None:
        """Deletes; returns the object if finalizers hold it, a ``Status`` if it is gone, ``None`` if none was."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        try:
            return self._send("delete", key, "DELETE", options, query=_dry(dry_run))  # type: ignore[no-any-return]
        except NotFoundError:
            return None

    def create(self, obj: Object) -> Object:
        """Creates by POST, also a review that is answered and not kept; the server may choose the name.

        Raises:
            ExistsError: there is one of this name.
        """
        resource = self._discovery.resource(obj["apiVersion"], obj["kind"])
        metadata = obj.get("metadata") or {}
        doing = f"create {obj['kind']} {metadata.get('name', '')}".rstrip()
        path = resource.path(metadata.get("namespace"))
        query = (("fieldManager", self.field_manager),)
        request = Request(doing, "POST", path, query, obj, idempotent=False)
        return self._transport.send(request)  # type: ignore[no-any-return]

    def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        *,
        deadline: float,
        labels: str = "",
        fields: str = "",
    ) -> Iterator[tuple[str, Object]]:
        """Yields ``("ADDED" | "MODIFIED" | "DELETED", object)``: the present objects first, then those that change.

        Ends at ``deadline`` (``time.monotonic()``); continues after 410 and broken connections.
        """
        request = self._collection("watch", api_version, kind, namespace, labels, fields)
        return Watch(self._transport, lambda: self._list(request, api_version, kind), request, deadline).events()

    def is_namespaced(self, api_version: str, kind: str) -> bool:
        """True where objects of the kind lie in namespaces; ``MissingKindError`` where the server lacks the kind."""
        return self._discovery.resource(api_version, kind).namespaced

    def server_version(self) -> str:
        """The server's version, such as ``v1.36.2``."""
        answer = self._transport.send(Request("ask for the version", "GET", "/version"))
        return str(answer["gitVersion"])

    def _send(
        self,
        verb: str,
        key: Key,
        method: str = "GET",
        body: Any = None,
        content_type: str = "application/json",
        query: Query = (),
        *,
        idempotent: bool = True,
    ) -> Any:
        path = self._discovery.resource(key.api_version, key.kind).path(key.namespace, key.name)
        request = Request(f"{verb} {key}", method, path, query, body, content_type, idempotent)
        return self._transport.send(request)

    def _collection(
        self, verb: str, api_version: str, kind: str, namespace: str | None, labels: str, fields: str
    ) -> Request:
        path = self._discovery.resource(api_version, kind).path(namespace)
        selectors = (("labelSelector", labels), ("fieldSelector", fields))
        where = f" in {namespace}" if namespace else ""
        return Request(
            f"{verb} {kind}{where}", "GET", path, tuple((name, value) for name, value in selectors if value)
        )

    def _list(self, request: Request, api_version: str, kind: str) -> tuple[Objects, str]:
        """Returns all pages and the list's revision. A token that expires between two pages means to begin again."""
        for attempt in range(_LISTS):
            found: Objects = []
            token = ""
            try:
                while True:
                    query = (*request.query, ("limit", str(self._page)), *((("continue", token),) if token else ()))
                    page = self._transport.send(Request(request.doing, "GET", request.path, query))
                    # The items of a list of a built-in kind carry neither apiVersion nor kind.
                    found += [{"apiVersion": api_version, "kind": kind} | item for item in page["items"] or ()]
                    token = page["metadata"].get("continue") or ""
                    if not token:
                        return found, page["metadata"].get("resourceVersion", "")
            except ExpiredError:
                if attempt == _LISTS - 1:
                    raise
        raise AssertionError("unreachable")


def _dry(dry_run: bool) -> Query:
    return (("dryRun", "All"),) if dry_run else ()
