"""The base of every error of the project, and the classes that HTTP, gRPC and the command line share.

A class says once what becomes of it everywhere: its HTTP status, its gRPC code, the exit code of a command that ends
by it, when to try again. An exit code above 2 holds under ``tidegate kube``; any other command ends with 1 instead.
Handlers raise; no reply is built by hand::

    TidegateError                   500  INTERNAL             exit 1
    ├── InvalidArgumentError        400  INVALID_ARGUMENT     exit 2  body, option, setting, type or shape
    │   ├── TooLargeError           413                               body or batch over the limit
    │   └── UnsupportedMediaError   415                               content type or coding that is not read here
    ├── UnauthenticatedError        401  UNAUTHENTICATED      exit 4  no key, or one that is not in force
    ├── PermissionDeniedError       403  PERMISSION_DENIED    exit 5  the key lacks the scope
    ├── NotFoundError               404  NOT_FOUND            exit 1  no such model, version, release or key
    ├── FailedPreconditionError     409  FAILED_PRECONDITION  exit 7  the present state forbids it
    ├── ResourceExhaustedError      429  RESOURCE_EXHAUSTED   exit 1  the caller's own quota is used up (Retry-After)
    ├── UnavailableError            503  UNAVAILABLE          exit 4  no answer for now (Retry-After)
    │   └── OverloadedError         503                               backpressure (Retry-After)
    ├── DeadlineExceededError       504  DEADLINE_EXCEEDED    exit 3  the time was up first
    └── ModelError                  500  INTERNAL             exit 1  the model's own code raised

Source of the gRPC codes: "Status codes and their use in gRPC" (grpc.io). Its test between the two codes that mean
"later": UNAVAILABLE where sending the same call again may help at once, RESOURCE_EXHAUSTED where the caller's own
quota is used up. A request that is too large is too large whenever it comes: INVALID_ARGUMENT.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar, Final

RETRY_AFTER_S: Final = 1


class TidegateError(Exception):
    """Base of all; by itself, a defect. ``str(error)`` is the sentence that the caller or the user reads.

    Attributes:
        status: the HTTP status.
        grpc_code: the name of the gRPC status code.
        exit_code: of a command that ends by the error.
        retry_after_s: seconds until another try may succeed; None where no time is known.
        temporary: the same attempt may succeed later, without a change to it.
    """

    status: int = HTTPStatus.INTERNAL_SERVER_ERROR
    grpc_code: ClassVar[str] = "INTERNAL"
    exit_code: int = 1
    retry_after_s: int | None = None
    temporary: ClassVar[bool] = False

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the HTTP reply, and trailing metadata of the gRPC call, beside the sentence."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


class InvalidArgumentError(TidegateError):
    """The request's own mistake; the message names the field, the value and what is accepted."""

    status = HTTPStatus.BAD_REQUEST
    grpc_code = "INVALID_ARGUMENT"
    exit_code = 2


class TooLargeError(InvalidArgumentError):
    """Body or batch over the configured limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMediaError(InvalidArgumentError):
    """A content type or a content coding that is not read here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class UnauthenticatedError(TidegateError):
    """No key, or one that is not in force."""

    status = HTTPStatus.UNAUTHORIZED
    grpc_code = "UNAUTHENTICATED"
    exit_code = 4

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, "www-authenticate": 'Bearer realm="tidegate"'}


class PermissionDeniedError(TidegateError):
    """The key is good, but lacks the scope that the route needs.

    Args:
        scope: the needed scope; the challenge names it too (RFC 6750, section 3.1).
    """

    status = HTTPStatus.FORBIDDEN
    grpc_code = "PERMISSION_DENIED"
    exit_code = 5

    def __init__(self, message: str, scope: str) -> None:
        super().__init__(message)
        self.scope = scope

    @property
    def headers(self) -> dict[str, str]:
        challenge = f'Bearer realm="tidegate", error="insufficient_scope", scope="{self.scope}"'
        return {**super().headers, "www-authenticate": challenge}


class NotFoundError(TidegateError):
    """There is no such object."""

    status = HTTPStatus.NOT_FOUND
    grpc_code = "NOT_FOUND"
    exit_code = 1
    retry_after_s: int | None = None  # also where a module's own base class is temporary
    temporary = False


class FailedPreconditionError(TidegateError):
    """A change that the present state forbids."""

    status = HTTPStatus.CONFLICT
    grpc_code = "FAILED_PRECONDITION"
    exit_code = 7
    retry_after_s: int | None = None
    temporary = False


class ResourceExhaustedError(TidegateError):
    """The caller's quota is used up.

    Args:
        retry_after_s: when a request would be let through, whole seconds from now, at least 1.
    """

    status = HTTPStatus.TOO_MANY_REQUESTS
    grpc_code = "RESOURCE_EXHAUSTED"
    temporary = True

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnavailableError(TidegateError):
    """No answer can be had for now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    grpc_code = "UNAVAILABLE"
    exit_code = 4
    retry_after_s: int | None = RETRY_AFTER_S
    temporary = True


class OverloadedError(UnavailableError):
    """Whatever could answer refuses further requests for now."""


class DeadlineExceededError(TidegateError):
    """There was no answer before the deadline."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    grpc_code = "DEADLINE_EXCEEDED"
    exit_code = 3
    retry_after_s: int | None = None
    temporary = True


class ModelError(TidegateError):
    """The model's own code raised, in every version that could answer."""
