"""The errors of a request that only a gateway has; ``app.errors`` has the tree that they belong to."""

from __future__ import annotations

from http import HTTPStatus

from app.errors import FailedPreconditionError, NotFoundError, UnavailableError


class ModelNotFoundError(NotFoundError):
    """The model or version is not served here."""


class MissingFeatureError(FailedPreconditionError):
    """A feature without default is missing or stale for a row of the request."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class FeatureStoreUnavailableError(UnavailableError):
    """The feature store does not answer, and the model needs a feature that has no default."""
