"""The gRPC status of each error of the gateway's tree (``errors`` has the HTTP status of each).

Source: "Status codes and their use in gRPC" (grpc.io). Its test between the two codes that mean "later": UNAVAILABLE
where sending the same call again may help at once, RESOURCE_EXHAUSTED where the caller's own quota is used up. A
request that is too large is too large whenever it comes: INVALID_ARGUMENT. (One that is larger than a message may be
never gets here; gRPC itself answers it with RESOURCE_EXHAUSTED.)
"""

from __future__ import annotations

from typing import Final

from grpc import StatusCode

from app.web.errors import (
    BrokenModelError,
    ConflictingChangeError,
    FeaturesAwayError,
    ForbiddenError,
    GatewayError,
    InputError,
    LateAnswerError,
    MissingFeatureError,
    NoAnswerError,
    NotAllowedError,
    RateLimitedError,
    TooBusyError,
    TooLargeError,
    UnknownModelError,
    UnsupportedMediaError,
)

STATUS: Final[dict[type[GatewayError], StatusCode]] = {
    GatewayError: StatusCode.INTERNAL,
    InputError: StatusCode.INVALID_ARGUMENT,
    TooLargeError: StatusCode.INVALID_ARGUMENT,
    UnsupportedMediaError: StatusCode.INVALID_ARGUMENT,
    NotAllowedError: StatusCode.UNAUTHENTICATED,
    ForbiddenError: StatusCode.PERMISSION_DENIED,
    UnknownModelError: StatusCode.NOT_FOUND,
    ConflictingChangeError: StatusCode.FAILED_PRECONDITION,
    MissingFeatureError: StatusCode.FAILED_PRECONDITION,
    RateLimitedError: StatusCode.RESOURCE_EXHAUSTED,
    NoAnswerError: StatusCode.UNAVAILABLE,
    FeaturesAwayError: StatusCode.UNAVAILABLE,
    TooBusyError: StatusCode.UNAVAILABLE,
    LateAnswerError: StatusCode.DEADLINE_EXCEEDED,
    BrokenModelError: StatusCode.INTERNAL,
}

_SENTENCE_BYTES = 1300


def status_of(error: GatewayError) -> StatusCode:
    """The status of an error, or of its nearest ancestor that has one."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def sentence(error: GatewayError) -> str:
    """The error's sentence, cut to what fits in a trailer: 8 KiB hold all of them, and each byte may take three."""
    text = str(error).encode()
    if len(text) <= _SENTENCE_BYTES:
        return str(error)
    return text[:_SENTENCE_BYTES].decode(errors="ignore") + " …"
