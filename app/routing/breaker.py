"""Circuit breaker and retry budget: bounds on the calls to a version that does not answer. Pure.

Both take the time and the outcome; neither reads a clock or does I/O.
Source: Nygard, "Release It!", ch. 5 (circuit breaker); the retry budget as in Finagle's RetryBudget.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Breaker:
    """Closed: everything passes. Open after ``failures`` in a row: nothing passes for ``open_s`` seconds. Then
    half-open: one probe passes; its success closes the breaker, its failure opens it anew. A probe whose
    outcome never arrives (its caller was cancelled) does not block: after another ``open_s`` the next may pass.
    """

    failures: int
    open_s: float
    _failed: int = field(default=0, init=False)
    _retry_at: float = field(default=0.0, init=False)

    def allows(self, now: float) -> bool:
        """True where a call may be made at ``now`` (seconds, any monotonic clock); claims the probe if it is one."""
        if self._failed < self.failures:
            return True
        if now < self._retry_at:
            return False
        self._retry_at = now + self.open_s
        return True

    def succeeded(self) -> None:
        """A call was answered."""
        self._failed = 0

    def not_asked(self, now: float) -> None:
        """The call that was allowed was not made; a probe may be claimed anew."""
        if self._failed >= self.failures:
            self._retry_at = min(self._retry_at, now)

    def failed(self, now: float) -> None:
        """A call was not answered."""
        self._failed += 1
        if self._failed >= self.failures:
            self._retry_at = now + self.open_s

    @property
    def is_open(self) -> bool:
        """True while calls are held back (open or half-open)."""
        return self._failed >= self.failures


@dataclass(slots=True)
class RetryBudget:
    """A bucket of ``reserve`` retries, refilled by ``ratio`` for every request: a fallen version may cost
    ``1 + ratio`` calls per request in the long run, never ``max_attempts`` times the traffic."""

    ratio: float
    reserve: float
    _tokens: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = self.reserve

    def request(self) -> None:
        """A new request arrived."""
        self._tokens = min(self.reserve, self._tokens + self.ratio)

    def spend(self) -> bool:
        """Takes one retry; False when none is left."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
