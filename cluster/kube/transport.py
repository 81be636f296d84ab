"""Requests to an API server: retried where that is safe, under one deadline, with errors as sentences.

The official client does what is its own (TLS, proxies, tokens and their renewal); requests go through its connection
pool directly. Its typed calls turn a JSON patch into a merge patch unless the content type is given, and return
nothing for an apply that creates; and the pool would retry on its own, by rules that ignore idempotence.

What is retried, within ``timeout_s``, up to ``ATTEMPTS`` times:

- a connection that could not be made: always, since nothing was sent;
- a connection that broke: what is idempotent. GET; DELETE; server-side apply, which states fields and values and so
  comes to the same when it arrives twice; a JSON patch whose ``test`` fails the second time. Not POST.
- 429 and 503: after ``Retry-After``. 429 comes before anything is done, so always; 503 may come from something on
  the way, so only what is idempotent. 504 of a read.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import kubernetes
import urllib3
from kubernetes.config import ConfigException
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError, SSLError

from cluster.kube.errors import KubeError, UnreachableError
from cluster.kube.status_errors import NO_API_SERVER, error_of

ATTEMPTS = 5
_BACKOFF_S = 0.2
_BACKOFF_MAX_S = 5.0
_CONNECT_S = 10.0
_NOT_SENT = (NewConnectionError, ConnectTimeoutError, NameResolutionError)

Body = dict[str, Any] | list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``doing`` says in words what it is for: "apply RayCluster team-a/demo"."""

    doing: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    content_type: str = "application/json"
    idempotent: bool = True

    @property
    def url(self) -> str:
        return f"{self.path}?{urlencode(self.query, quote_via=quote)}" if self.query else self.path


class Transport:
    """Connection to one API server.

    Args:
        client: address and credentials.
        timeout_s: for one request with its retries, seconds.
        warn: takes the server's ``Warning`` headers (deprecated versions, unknown fields, pod security).
    """

    def __init__(self, client: kubernetes.client.ApiClient, timeout_s: float, warn: Callable[[str], None]) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._warn = warn
        self.server: str = client.configuration.host.rstrip("/")

    def send(self, request: Request) -> Any:
        """Send and retry; the body of the good answer, decoded from JSON.

        Raises:
            ApiError: the server refused; the class says why.
            UnreachableError: no server, or it could not answer in time.
        """
        deadline = time.monotonic() + self._timeout_s
        attempt = 0
        while True:
            attempt += 1
            left = deadline - time.monotonic()
            try:
                response = self._open(request, read_s=max(left, 0.1))
                status, text = response.status, response.data
            except HTTPError as error:
                retry = request.idempotent or isinstance(error, _NOT_SENT)
                if not retry or isinstance(error, SSLError) or not _pause(attempt, deadline, None):
                    raise self._unreachable(request, error) from error
                continue
            if status < 300:
                for warning in response.headers.getlist("Warning"):
                    self._warn(_warning_text(warning))
                return _decode(text)
            if not _may_retry(request, status) or not _pause(attempt, deadline, response.headers.get("Retry-After")):
                raise self.error(request, status, text)

    def stream(self, request: Request, *, idle_s: float | None) -> Iterator[bytes]:
        """The lines of an answer as they come, without their ends; what follows the last end is a line, too.

        ``idle_s`` is the longest silence; ``None``: as long as the connection lives.

        Raises:
            ApiError: the server refused.
            HTTPError: the connection broke, or the silence was too long; the caller knows where to resume.
        """
        response = self._open(request, read_s=idle_s)
        try:
            if response.status >= 300:
                raise self.error(request, response.status, response.data)
            rest = b""
            for chunk in response.stream(2**16, decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
            if rest:
                yield rest
        finally:
            response.close()

    def error(self, request: Request, status: int, text: bytes) -> KubeError:
        json_patch = request.content_type == "application/json-patch+json"
        return error_of(status, text, doing=request.doing, server=self.server, json_patch=json_patch)

    def _open(self, request: Request, *, read_s: float | None) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json, */*", "User-Agent": self._client.user_agent}
        try:
            self._client.update_params_for_auth(
                headers, [], ["BearerToken"], request.path, request.method, request.body
            )
        except ConfigException as error:
            raise UnreachableError(f"{request.doing}: no credentials for {self.server}: {error}") from error
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        pool: urllib3.PoolManager = self._client.rest_client.pool_manager
        return pool.request(
            request.method,
            self.server + request.url,
            body=json.dumps(request.body) if request.body is not None else None,
            headers=headers,
            timeout=urllib3.Timeout(connect=min(_CONNECT_S, read_s or _CONNECT_S), read=read_s),
            preload_content=False,
            retries=False,
        )

    def _unreachable(self, request: Request, error: Exception) -> UnreachableError:
        advice = "the server's certificate is not trusted: see certificate-authority-data of the kubeconfig"
        if not isinstance(error, SSLError):
            advice = "is the cluster up, and does the kubeconfig's context name it? (`kubectl cluster-info`)"
        return UnreachableError(f"{request.doing}: no answer from {self.server}: {error}\n  {advice}")


def backoff_s(failures: int) -> float:
    """Seconds to wait after this number of failures: doubled each time, bounded, with jitter."""
    return float(min(_BACKOFF_S * 2 ** (failures - 1), _BACKOFF_MAX_S) * random.uniform(0.5, 1.0))  # noqa: S311


def _may_retry(request: Request, status: int) -> bool:
    return status == 429 or (status == 503 and request.idempotent) or (status == 504 and request.method == "GET")


def _pause(attempt: int, deadline: float, retry_after: str | None) -> bool:
    """Waits before the next attempt; ``False`` where there is none, or no time for it."""
    wait = float(retry_after) if retry_after and retry_after.isdigit() else backoff_s(attempt)
    if attempt >= ATTEMPTS or time.monotonic() + wait >= deadline:
        return False
    time.sleep(wait)
    return True


def _decode(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UnreachableError(
            f"what answered is no API server: {text[:200].decode(errors='replace')!r} is not JSON\n  {NO_API_SERVER}"
        ) from error


def _warning_text(header: str) -> str:
    """The text of ``299 - "text"`` (RFC 7234, section 5.5)."""
    _, quote_mark, rest = header.partition('"')
    return re.sub(r"\\(.)", r"\1", rest.rpartition('"')[0]) if quote_mark else header
