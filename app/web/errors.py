"""What can go wrong with a request, and the HTTP status of each. Handlers raise; nobody builds a reply by hand.

GatewayError                  500
├── InputError                400   body, column, type or shape
│   ├── TooLargeError         413   body or batch over the limit
│   └── UnsupportedMediaError 415 content type or coding that is not read here
├── NotAllowedError           401   no key, or a wrong one
├── ForbiddenError            403   the key lacks the scope
├── UnknownModelError         404   model or version not served here
├── ConflictingChangeError    409   a change that the route table's state forbids
├── MissingFeatureError       422   a feature without default is missing or stale
├── RateLimitedError          429   the key's rate is used up (Retry-After)
├── NoAnswerError             503   nobody to ask, or nobody answered (Retry-After)
│   ├── FeaturesAwayError     503   the feature store does not answer (Retry-After)
│   └── TooBusyError          503   backpressure (Retry-After)
├── LateAnswerError           504   the deadline passed
└── BrokenModelError          500   the model's own code raised
"""

from __future__ import annotations

RETRY_AFTER_S = 1


class GatewayError(Exception):
    """Base. ``status`` is the HTTP status; ``str(error)`` the sentence that the caller reads."""

    status = 500
    retry_after_s: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What the reply's headers say beside the sentence."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


class InputError(GatewayError):
    """The request's own mistake; the message names the field, the value and what is accepted."""

    status = 400


class TooLargeError(InputError):
    """Body or batch over the configured limit."""

    status = 413


class UnsupportedMediaError(InputError):
    """A content type or a content coding that is not read here."""

    status = 415


class NotAllowedError(GatewayError):
    """No key, or one that is not in force."""

    status = 401

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, "www-authenticate": 'Bearer realm="tidegate"'}


class ForbiddenError(GatewayError):
    """The key is good, but lacks the scope that the route needs.

    Args:
        scope: the needed scope; the challenge names it too (RFC 6750, section 3.1).
    """

    status = 403

    def __init__(self, message: str, scope: str) -> None:
        super().__init__(message)
        self.scope = scope

    @property
    def headers(self) -> dict[str, str]:
        challenge = f'Bearer realm="tidegate", error="insufficient_scope", scope="{self.scope}"'
        return {**super().headers, "www-authenticate": challenge}


class UnknownModelError(GatewayError):
    """The model or version is not served here."""

    status = 404


class ConflictingChangeError(GatewayError):
    """A change of the route table that its present state forbids."""

    status = 409


class MissingFeatureError(GatewayError):
    """A feature without default is missing or stale for a row of the request."""

    status = 422


class RateLimitedError(GatewayError):
    """The key's rate is used up.

    Args:
        retry_after_s: when a request would be let through, whole seconds from now, at least 1.
    """

    status = 429

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NoAnswerError(GatewayError):
    """No version could be asked, or none answered."""

    status = 503
    retry_after_s = RETRY_AFTER_S


class FeaturesAwayError(NoAnswerError):
    """The feature store does not answer, and the model needs a feature that has no default."""


class TooBusyError(NoAnswerError):
    """Every version that could answer refuses further requests for now."""


class LateAnswerError(GatewayError):
    """No version answered before the deadline."""

    status = 504


class BrokenModelError(GatewayError):
    """The model's own code raised, in every version that could answer."""
