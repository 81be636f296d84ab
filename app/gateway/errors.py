"""The errors of a request that only a gateway has; ``app.errors`` has the tree that they belong to."""

from __future__ import annotations

from http import HTTPStatus

from app.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    ModelError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    TidegateError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaError,
)


class ModelNotFoundError(NotFoundError):
    """The model or version is not served here."""


class MissingFeatureError(FailedPreconditionError):
    """A feature without default is missing or stale for a row of the request."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class FeatureStoreUnavailableError(UnavailableError):
    """The feature store does not answer, and the model needs a feature that has no default."""


OF_A_MODEL: tuple[type[TidegateError], ...] = (ModelNotFoundError, UnavailableError)
"""The errors of a question about a model."""
OF_A_BODY: tuple[type[TidegateError], ...] = (
    *OF_A_MODEL,
    UnauthenticatedError,
    PermissionDeniedError,
    ResourceExhaustedError,
    InvalidArgumentError,
    TooLargeError,
    UnsupportedMediaError,
)
"""The errors of a caller's body about a model, before anything is done with it."""
OF_INFERENCE: tuple[type[TidegateError], ...] = (
    *OF_A_BODY,
    MissingFeatureError,
    DeadlineExceededError,
    ModelError,
)
"""The errors of an inference request."""
