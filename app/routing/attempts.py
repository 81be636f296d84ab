"""One request's attempts: deadline, retries, fall-over to another version with weight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.routing.breaker import Breaker, RetryBudget
from app.settings import RoutingSettings

T = TypeVar("T")


class VersionFailedError(Exception):
    """A version gave no answer to one attempt. Base of the reasons below."""


class UnavailableError(VersionFailedError):
    """No replica took the call, or the one that did is gone: the same version may be asked again."""


class OverloadedError(UnavailableError):
    """The version refuses further requests for now (backpressure)."""


class TimedOutError(UnavailableError):
    """The version did not answer within the attempt's time."""


class ModelFailedError(VersionFailedError):
    """The model's own code raised: asking the same version again would raise again."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A reply, who gave it, and the versions that failed before."""

    version: str
    value: T
    failed: tuple[str, ...] = ()


@dataclass(slots=True)
class Attempts:
    """The attempts of all requests of one model in one gateway replica: they share breakers and retry budget."""

    settings: RoutingSettings
    clock: Callable[[], float] = time.monotonic
    budget: RetryBudget = field(init=False)
    _breakers: dict[str, Breaker] = field(default_factory=dict, init=False)
    _counted: dict[str, VersionFailedError] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.budget = RetryBudget(self.settings.retry_ratio, self.settings.retry_reserve)

    def breaker(self, version: str) -> Breaker:
        """The breaker of a version."""
        found = self._breakers.get(version)
        if found is None:
            found = self._breakers[version] = Breaker(self.settings.breaker_failures, self.settings.breaker_open_s)
        return found

    def forget(self, deployed: Sequence[str]) -> None:
        """Drop what is known of versions that are no longer deployed."""
        for version in self._breakers.keys() - set(deployed):
            del self._breakers[version]
            self._counted.pop(version, None)

    async def call(self, ranked: Sequence[str], ask: Callable[[str], Awaitable[T]]) -> Answer[T]:
        """Ask versions in the order ``ranked`` until one answers.

        An attempt ends after ``attempt_timeout_s``, all of them after ``deadline_s``. The next attempt goes to
        the next version that has not failed yet; with none left, to one that was merely unavailable.

        Args:
            ranked: versions to ask, the pick first; not empty.
            ask: makes one attempt; raises :class:`VersionFailedError` for what another attempt may mend, anything
                else (the caller's own mistake) ends the call at once.

        Raises:
            VersionFailedError: the failure of the last attempt.
        """
        self.budget.request()
        deadline = self.clock() + self.settings.deadline_s
        failed: list[str] = []
        dead: set[str] = set()  # failed for good: the model's own code raised
        error: VersionFailedError | None = None
        for attempt in range(self.settings.max_attempts):
            version = self._next(ranked, failed, dead)
            if version is None or (attempt and not self.budget.spend()):
                break
            left = deadline - self.clock()
            if left <= 0:
                break
            try:
                async with asyncio.timeout(min(left, self.settings.attempt_timeout_s)):
                    value = await ask(version)
            except TimeoutError:
                error = TimedOutError(f"version {version} did not answer in time")
            except ModelFailedError as failure:
                dead.add(version)
                error = failure
            except VersionFailedError as failure:
                error = failure
            else:
                self.breaker(version).succeeded()
                for broken in dead:  # this one could answer, so it was not the request's fault
                    self.breaker(broken).failed(self.clock())
                return Answer(version, value, tuple(failed))
            if not isinstance(error, ModelFailedError | OverloadedError) and self._counted.get(version) is not error:
                # Requests that travelled in one call share its failure: one lost replica is one failure.
                self._counted[version] = error
                self.breaker(version).failed(self.clock())
            failed.append(version)
        raise error or UnavailableError(f"version {ranked[0]} is not answering; its breaker is open")

    def _next(self, ranked: Sequence[str], failed: Sequence[str], dead: set[str]) -> str | None:
        now = self.clock()
        fresh = [version for version in ranked if version not in failed]
        again = [version for version in ranked if version in failed and version not in dead]
        for version in (*fresh, *again):
            if self.breaker(version).allows(now):
                return version
        return None
