"""Which HTTP status each error of a release has. Handlers raise; nobody builds a reply by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from app.errors import RETRY_AFTER_S, FailedPreconditionError, TidegateError
from app.registry import RegistryError
from app.releases.api.event_stream import TooManySubscribersError
from app.releases.control.cluster_state import ServeUnavailableError
from app.releases.control.controller import AdmissionError, NotLeadingError, UnknownReleaseError
from app.releases.control.release_store import FencedError, LiveReleaseError
from app.releases.lifecycle.commands import OrderRefusedError
from app.releases.model.plan import PlanError


class RegistryTriggersOffError(FailedPreconditionError):
    """Nothing in the registry begins a release, by the settings."""


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP status, and when to try again (seconds), where that helps."""

    code: int
    retry_after_s: int | None = None


_LATER = Status(503, RETRY_AFTER_S)
STATUSES: Mapping[type[Exception], Status] = {
    PlanError: Status(400),
    AdmissionError: Status(400),
    UnknownReleaseError: Status(404),
    LiveReleaseError: Status(409),
    OrderRefusedError: Status(409),
    RegistryTriggersOffError: Status(409),
    NotLeadingError: _LATER,
    FencedError: _LATER,
    TooManySubscribersError: _LATER,
    RegistryError: _LATER,
    RedisError: _LATER,
    ServeUnavailableError: _LATER,
}
"""The errors of the key and of the body (401, 403, 400) are the gateway's, with statuses of their own."""

_SAID: Mapping[type[Exception], str] = {RedisError: "Redis is away."}


def status_of(error: Exception) -> Status:
    """The status of an error that is one of ``STATUSES`` or derived from one."""
    return next(STATUSES[base] for base in type(error).__mro__ if base in STATUSES)


def sentence_of(error: Exception) -> str:
    """What the caller reads."""
    if isinstance(error, RedisError):
        return "Redis is away: whether anything was changed is not known; read the release again"
    return str(error)


def responses(*errors: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """The responses of these errors for the OpenAPI document, and of a defect (500)."""
    described: dict[int | str, dict[str, Any]] = {}
    for error in (*errors, TidegateError):
        status = _described_status(error)
        sentence = _SAID.get(error) or (error.__doc__ or "").splitlines()[0]
        if error is TidegateError:
            sentence = "A defect of the controller."
        if status.code in described:
            described[status.code]["description"] += f" {sentence}"
            continue
        described[status.code] = {
            "description": sentence,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        if status.retry_after_s is not None:
            described[status.code]["headers"] = {
                "Retry-After": {"schema": {"type": "integer"}, "description": "When to try again, seconds"}
            }
    return dict(sorted(described.items(), key=lambda item: str(item[0])))


def _described_status(error: type[Exception]) -> Status:
    if issubclass(error, TidegateError):
        return Status(error.status, error.retry_after_s)
    return STATUSES[error]
