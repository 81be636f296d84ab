"""Error for an answer of an API server: the server's own words and one line of advice.

One status has several meanings, and the body distinguishes them: see ``error_of``.
"""

from __future__ import annotations

import json
from typing import Any

from cluster.kube.errors import (
    ApiError,
    Cause,
    ExistsError,
    ExpiredError,
    FieldConflictError,
    InvalidError,
    KubeError,
    MissingKindError,
    NotFoundError,
    PermissionDeniedError,
    StaleError,
    TestFailedError,
    UnauthenticatedError,
    UnreachableError,
)

_TYPED_PATCH = "failed to create typed patch object"
_UNAVAILABLE = frozenset({429, 502, 503, 504})
_WRONG = frozenset({400, 406, 413, 415, 422})
_NO_SUCH_PATH = "404 page not found"
"""What an API server says, as plain text, of a path that it does not serve; of nothing else."""

NO_API_SERVER = "is a proxy or a login page in the way, or does the kubeconfig's context name another server?"


def error_of(status: int, text: bytes, *, doing: str, server: str, json_patch: bool = False) -> KubeError:
    """The error for an answer that is none of 2xx.

    - 404 as plain text: the server has no such kind; as a ``Status`` that names an object (or its namespace): that
      one is missing. A 404 in other words comes from something else, as do a redirect and a page of HTML.
    - 409: ``AlreadyExists``; with causes ``FieldManagerConflict``: another manager owns what was applied; else the
      object has changed, or is another one, since it was read.
    - 403: a namespace that is going; a quota; else rights, or an admission rule.
    - 422 of a JSON patch: without causes and name a ``test`` or a path did not hold; with them the result is invalid.
    - 500 "failed to create typed patch object": server-side apply says so of an unknown field or a wrong type.

    Args:
        doing: what the request was for, in words.
        server: its address, for the message.
        json_patch: the request was one.
    """
    body = _status_body(text)
    words = body.get("message") or text.decode(errors="replace").strip()[:500] or "no words with it"
    details = body.get("details") or {}
    causes = tuple(
        Cause(cause.get("reason", ""), cause.get("field", ""), cause.get("message", ""))
        for cause in details.get("causes") or ()
    )
    reason = body.get("reason", "")
    if status in _UNAVAILABLE:
        return UnreachableError(f"{doing}: {server} cannot answer now ({status}): {words}\n  try again in a while")
    if status != 401 and not body and _is_elsewhere(status, text):
        return UnreachableError(
            f"{doing}: what answered at {server} is no API server ({status}): {words}\n  {NO_API_SERVER}"
        )
    kind, advice = _kind(status, reason, words, details, causes, json_patch and bool(body))
    return kind(f"{doing}: {status}: {words}", status=status, reason=reason, causes=causes, advice=advice)


def _is_elsewhere(status: int, text: bytes) -> bool:
    """True where an answer without a ``Status`` is that of a proxy, a login page, or another server."""
    body = text.strip()
    if status < 400 or body.startswith(b"<"):
        return True
    return status == 400 or (status == 404 and body != _NO_SUCH_PATH.encode())


def _kind(
    status: int, reason: str, words: str, details: dict[str, Any], causes: tuple[Cause, ...], json_patch: bool
) -> tuple[type[ApiError], str]:
    if status == 401:
        return UnauthenticatedError, "the credentials are not accepted: log in again, or take another --context"
    if status == 403:
        return PermissionDeniedError, _forbidden_advice(words, causes)
    if status == 404 and (reason != "NotFound" or not details.get("name")):
        return MissingKindError, (
            "the server does not know this kind: the operator or controller that brings it is not installed, or not "
            "in this version"
        )
    if status == 404:
        gone = details.get("kind") == "namespaces"
        if gone:
            return NotFoundError, f"create it first: kubectl create namespace {details['name']}"
        return NotFoundError, "is the name right, and the namespace? -n names another"
    if status == 409 and reason == "AlreadyExists":
        going = words.startswith("object is being deleted")
        return ExistsError, "wait until it is gone" if going else "take another name, or delete that one first"
    if status == 409 and any(cause.reason == "FieldManagerConflict" for cause in causes):
        return FieldConflictError, "--force-conflicts takes these fields over from their present owners"
    if status == 409:
        return StaleError, "read it again and repeat"
    if status == 410:
        return ExpiredError, "list again"
    if status == 422 and json_patch and not causes and not details.get("name"):
        return TestFailedError, "what the patch was made for is not there any more: read it again and repeat"
    if status in _WRONG or words.startswith(_TYPED_PATCH):
        return InvalidError, "the manifest is wrong, not the server: correct the field named"
    if "failed calling webhook" in words:
        return ApiError, "an admission webhook does not answer: see to its controller's pods, then try again"
    return ApiError, "this is an error of the server itself: see its logs and `kubectl get --raw /readyz?verbose`"


def _forbidden_advice(words: str, causes: tuple[Cause, ...]) -> str:
    if any(cause.reason == "NamespaceTerminating" for cause in causes):
        return "the namespace is being deleted: wait until it is gone, then create it again"
    if "exceeded quota" in words or "failed quota" in words:
        return "a ResourceQuota of the namespace forbids it: kubectl describe quota"
    if "system:anonymous" in words:
        return "no credentials were sent: the kubeconfig's user has none, or its login plugin gave none"
    return "the account lacks this right, or an admission rule forbids it: kubectl auth can-i --list"


def _status_body(text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) and body.get("kind") == "Status" else {}
