"""Errors of the Kubernetes verbs, each with its exit code.

::

    KubeError                     1
    ├── UsageError                2   refused here, before the server saw anything
    ├── DeadlineError             3   what was awaited did not happen in time
    ├── UnreachableError          4   no server, or the connection broke and did not come back
    └── ApiError                  1   the server said no; its own words are in the message
        ├── UnauthenticatedError  4   401
        ├── PermissionDeniedError 5   403: rights, a quota, a namespace that is going
        ├── NotFoundError         1   404: no such object
        ├── MissingKindError      6   404: the server knows no such kind (a CRD is missing)
        ├── FieldConflictError    7   409: another manager owns a field
        ├── StaleError            7   409: the object has changed meanwhile
        ├── ExistsError           1   409: there is one already
        ├── ExpiredError          1   410: a watch's revision is gone
        ├── InvalidError          2   400, 422, and 500 of a typed patch: the object itself is wrong
        └── TestFailedError       7   422 of a JSON patch whose ``test`` did not hold
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.errors import TidegateError


class KubeError(TidegateError):
    """Base of all. ``str()`` is a sentence for the user; ``done`` is what ``--json`` prints beside it."""

    exit_code = 1

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.done: dict[str, Any] = {}


class UsageError(KubeError):
    """An option or argument is refused; the message names it and what is accepted."""

    exit_code = 2


class DeadlineError(KubeError):
    """The time is over; the message says what was awaited and how it stood."""

    exit_code = 3


class UnreachableError(KubeError):
    """No API server answered."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of ``details.causes`` of a ``Status``."""

    reason: str
    field: str
    message: str


class ApiError(KubeError):
    """The server's refusal: its status, its reason and its own words, and what to do about it."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        advice: str = "",
    ) -> None:
        super().__init__(f"{message}\n  {advice}" if advice else message)
        self.message = message
        self.status = status
        self.reason = reason
        self.causes = causes
        self.advice = advice


class UnauthenticatedError(ApiError):
    exit_code = 4


class PermissionDeniedError(ApiError):
    exit_code = 5


class NotFoundError(ApiError):
    pass


class MissingKindError(ApiError):
    exit_code = 6


class FieldConflictError(ApiError):
    exit_code = 7


class StaleError(ApiError):
    exit_code = 7


class ExistsError(ApiError):
    pass


class ExpiredError(ApiError):
    pass


class InvalidError(ApiError):
    exit_code = 2


class TestFailedError(ApiError):
    __test__ = False  # no test case, whatever pytest makes of the name
    exit_code = 7
