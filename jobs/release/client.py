"""A client of the routes ``/releases`` at the gateway's address."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import httpx

from app.errors import TidegateError
from app.releases.lifecycle.orders import Order
from app.releases.model.names import PREFIX
from app.settings import GatewaySettings

TIMEOUT_S = 15.0
LEADER_WAIT_S = 60.0
"""Time a controller has to take over before an order is given up, seconds."""
QUIET_S = 45.0
"""Silence after which a stream of events counts as lost, seconds; the other side breaks it each 15 s."""
RETRY_S = 1.0

Body = dict[str, Any]


class ReleaseError(TidegateError):
    """A refusal, or no answer; the message says from where and why."""


class Releases:
    """A connection to the releases.

    Args:
        transport: how requests travel; None for the network.
        leader_wait_s: time a controller has to take over before an order is given up, seconds.

    Raises:
        ReleaseError: there is no key to call with.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        transport: httpx.BaseTransport | None = None,
        leader_wait_s: float = LEADER_WAIT_S,
    ) -> None:
        if settings.admin_key is None:
            raise ReleaseError("TIDEGATE_GATEWAY_ADMIN_KEY is not set and the local stack left none")
        self.url = settings.url
        self._leader_wait_s = leader_wait_s
        self._client = httpx.Client(
            base_url=settings.url,
            headers={"authorization": f"Bearer {settings.admin_key.get_secret_value()}"},
            timeout=TIMEOUT_S,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def begin(self, model: str, version: str, plan: Body) -> Body:
        """Begins a release and returns its document."""
        found: Body = self._call("POST", PREFIX, json={"model": model, "version": version, "plan": plan})
        return found

    def order(self, release: str, order: Order) -> Body:
        """Gives an order and returns the document after it."""
        found: Body = self._call("POST", f"{PREFIX}/{release}/{order.verb}", params=order.options())
        return found

    def read(self, release: str) -> Body:
        """Returns the document of a release."""
        found: Body = self._call("GET", f"{PREFIX}/{release}")
        return found

    def newest(self, model: str | None, count: int) -> list[Body]:
        """Returns releases, the newest first."""
        found: list[Body] = self._call("GET", PREFIX, params=_of(model, count))
        return found

    def audit(self, model: str | None, count: int) -> list[Body]:
        """Returns the audit log, the newest first."""
        found: list[Body] = self._call("GET", f"{PREFIX}/audit", params=_of(model, count))
        return found

    @contextmanager
    def events(self, release: str, last: str | None) -> Iterator[httpx.Response]:
        """Opens a stream of events, whose status the caller checks.

        Raises:
            httpx.TransportError: it cannot be opened, or breaks off, or is silent for ``QUIET_S``.
        """
        headers = {} if last is None else {"last-event-id": last}
        timeout = httpx.Timeout(TIMEOUT_S, read=QUIET_S)
        with self._client.stream("GET", f"{PREFIX}/{release}/events", headers=headers, timeout=timeout) as response:
            yield response

    def _call(self, method: str, path: str, **request: Any) -> Any:
        """Returns the body of a good answer. Asks again after 503 for a while: a controller may be taking over, and
        one that does not lead has done nothing."""
        deadline = time.monotonic() + self._leader_wait_s
        while True:
            try:
                response = self._client.request(method, path, **request)
            except httpx.TransportError as error:
                raise ReleaseError(f"{method} {self.url}{path}: {error or type(error).__name__}") from error
            if response.is_success:
                return response.json()
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() >= deadline:
                raise ReleaseError(f"{method} {path}: {response.status_code} {sentence(response)}")
            time.sleep(_retry_after(response))


def sentence(response: httpx.Response) -> str:
    """Returns the sentence of an answer that is no success and has been read."""
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.text.strip()[:500]


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdigit() else RETRY_S


def _of(model: str | None, count: int) -> dict[str, str | int]:
    return {"count": count} if model is None else {"model": model, "count": count}
