"""The part of the dashboard's HTTP API that the stack uses, with the token."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx

from cluster.local.token import read_token


class Dashboard:
    """A client of Ray's dashboard. Every call raises ``httpx.HTTPError`` when it fails."""

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        headers = {"Authorization": f"Bearer {read_token()}"}
        # trust_env: a proxy for the internet has no business between us and 127.0.0.1
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def version(self) -> str:
        """Returns Ray's version."""
        return str(self._get("/api/version")["ray_version"])

    def nodes(self) -> list[dict[str, Any]]:
        """Returns the cluster's nodes with ``state``, ``labels``, ``is_head_node`` and ``resources_total``."""
        found: list[dict[str, Any]] = self._get("/api/v0/nodes")["data"]["result"]["result"]
        return found

    def serve(self) -> dict[str, Any]:
        """Returns Serve's state: ``applications`` by name with status and deployed configuration."""
        return self._get("/api/serve/applications/")

    def put_serve(self, config: dict[str, Any]) -> None:
        """Declare Serve applications. Those declared before and missing now are deleted, others left alone."""
        self._client.put("/api/serve/applications/", json=config, timeout=60).raise_for_status()

    def _get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(path).raise_for_status().json()
        return found
