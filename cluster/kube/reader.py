"""Reading half of an API server; :class:`cluster.kube.api.Kube` has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from cluster.kube.manifest import Key, Object


class Reader(Protocol):
    """Reads objects and follows them."""

    @property
    def server(self) -> str:
        """Its address, for messages."""

    def find(self, key: Key) -> Object | None:
        """The object, or ``None`` where there is none."""

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
        """The objects that are there, then those that change, until ``deadline`` (``time.monotonic()``)."""

    def list(
        self, api_version: str, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All objects of the kind."""
