"""Attempts of one request: deadline, retries, failover to another version with weight."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.errors import DeadlineExceededError, ModelError, OverloadedError, TidegateError, UnavailableError
from app.routing.breaker import Breaker, RetryBudget
from app.settings import RoutingSettings

T = TypeVar("T")


class VersionFailedError(TidegateError):
    """A version gave no answer to one attempt. Base of the reasons below."""


class VersionUnavailableError(VersionFailedError, UnavailableError):
    """No replica took the call, or the one that did is gone: the same version may be tried again."""


class VersionOverloadedError(VersionUnavailableError, OverloadedError):
    """The version refuses further requests for now (backpressure)."""


class VersionTimedOutError(DeadlineExceededError, VersionUnavailableError):
    """The version did not answer within the attempt's time."""


class ModelRaisedError(VersionFailedError, ModelError):
    """The model's own code raised: the same version would raise again."""


CORRELATED_TIMEOUT_FRACTION = 0.25
"""Timeouts of one version within this share of an attempt's time are one failure."""


@dataclass(frozen=True, slots=True)
class AttemptResult(Generic[T]):
    """The outcome of one attempt; ``of_version`` is False where it came from a cache."""

    value: T
    of_version: bool = True


@dataclass(frozen=True, slots=True)
class VersionAnswer(Generic[T]):
    """A reply, and the version that gave it."""

    version: str
    value: T


@dataclass(slots=True)
class Attempts:
    """The attempts of all requests of one model in one gateway replica: they share breakers and retry budget."""

    settings: RoutingSettings
    clock: Callable[[], float] = time.monotonic
    budget: RetryBudget = field(init=False)
    _breakers: dict[str, Breaker] = field(default_factory=dict, init=False)
    _counted: dict[str, VersionFailedError] = field(default_factory=dict, init=False)
    _timed_out: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.budget = RetryBudget(self.settings.retry_ratio, self.settings.retry_reserve)

    def breaker(self, version: str) -> Breaker:
        """The breaker of a version."""
        found = self._breakers.get(version)
        if found is None:
            found = self._breakers[version] = Breaker(self.settings.breaker_failures, self.settings.breaker_open_s)
        return found

    def forget(self, deployed: Sequence[str]) -> None:
        """Drops what is known of versions that are no longer deployed."""
        for version in self._breakers.keys() - set(deployed):
            del self._breakers[version]
            self._counted.pop(version, None)
            self._timed_out.pop(version, None)

    async def call(
        self, ranked: Sequence[str], attempt_at: Callable[[str], Awaitable[AttemptResult[T]]], failed: list[str]
    ) -> VersionAnswer[T]:
        """Calls versions in the order ``ranked`` until one answers.

        An attempt ends after ``attempt_timeout_s``, all of them after ``deadline_s``. The next attempt goes to
        the next version that has not failed yet; with none left, to one that was merely unavailable.

        Args:
            ranked: versions to ask, the pick first; not empty.
            ask: makes one attempt; raises :class:`VersionFailedError` for what another attempt may mend, anything
                else (the caller's own mistake) ends the call at once.
            failed: takes the versions that gave no answer, one an attempt; also where none does in the end.

        Raises:
            VersionFailedError: the failure of the last attempt.
        """
        self.budget.request()
        deadline = self.clock() + self.settings.deadline_s
        dead: set[str] = set()  # failed for good: the model's own code raised
        full: set[str] = set()  # refuse for now: another version may answer, the same one would refuse again
        error: VersionFailedError | None = None
        for attempt in range(self.settings.max_attempts):
            version = self._next(ranked, failed, dead | full)
            if version is None or (attempt and not self.budget.spend()):
                break
            left = deadline - self.clock()
            if left <= 0:
                break
            try:
                async with asyncio.timeout(min(left, self.settings.attempt_timeout_s)):
                    result = await attempt_at(version)
            except TimeoutError:
                error = VersionTimedOutError(f"version {version} did not answer in time")
            except ModelRaisedError as failure:
                dead.add(version)
                error = failure
            except VersionOverloadedError as failure:
                full.add(version)
                error = failure
            except VersionFailedError as failure:
                error = failure
            else:
                if result.of_version:
                    self.breaker(version).succeeded()
                else:
                    self.breaker(version).not_asked(self.clock())
                for broken in dead:  # this one could answer, so it was not the request's fault
                    self.breaker(broken).failed(self.clock())
                return VersionAnswer(version, result.value)
            failed.append(version)
            if self._counts(version, error):
                self.breaker(version).failed(self.clock())
        raise error or VersionUnavailableError(f"version {ranked[0]} is not answering; its breaker is open")

    def _counts(self, version: str, error: VersionFailedError) -> bool:
        """True where a failure is one for the breaker. Requests that travelled in one call share its failure: a lost
        replica is one, and of those that ran out of time together, by timers of their own, the first one counts."""
        if isinstance(error, ModelRaisedError | VersionOverloadedError) or self._counted.get(version) is error:
            return False
        self._counted[version] = error
        if isinstance(error, VersionTimedOutError):
            now = self.clock()
            if (
                now - self._timed_out.get(version, -math.inf)
                < self.settings.attempt_timeout_s * CORRELATED_TIMEOUT_FRACTION
            ):
                return False
            self._timed_out[version] = now
        return True

    def _next(self, ranked: Sequence[str], failed: Sequence[str], never: set[str]) -> str | None:
        now = self.clock()
        fresh = [version for version in ranked if version not in failed]
        again = [version for version in ranked if version in failed and version not in never]
        for version in (*fresh, *again):
            if self.breaker(version).allows(now):
                return version
        return None
