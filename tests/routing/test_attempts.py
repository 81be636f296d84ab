"""Deadline, retries and fall-over of one request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.routing.attempts import (
    AttemptResult,
    Attempts,
    ModelRaisedError,
    VersionFailedError,
    VersionOverloadedError,
    VersionTimedOutError,
    VersionUnavailableError,
)
from app.settings import RoutingSettings

QUICK = RoutingSettings(deadline_s=0.5, attempt_timeout_s=0.1, max_attempts=3, breaker_failures=2, breaker_open_s=60)

Ask = Callable[[str], Awaitable[AttemptResult[str]]]


def asker(outcomes: dict[str, list[Exception | str | None]], asked: list[str]) -> Ask:
    """Answers by version, in order; None never answers."""

    async def attempt_at(version: str) -> AttemptResult[str]:
        asked.append(version)
        outcome = outcomes[version].pop(0)
        if outcome is None:
            await asyncio.Event().wait()
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, str)
        return AttemptResult(outcome)

    return attempt_at


@pytest.mark.parametrize(
    ("ranked", "outcomes", "version", "failed"),
    [
        ("1", {"1": ["ok"]}, "1", ()),
        ("12", {"1": [VersionUnavailableError()], "2": ["ok"]}, "2", ("1",)),
        ("12", {"1": [None], "2": ["ok"]}, "2", ("1",)),
        ("12", {"1": [ModelRaisedError()], "2": ["ok"]}, "2", ("1",)),
        ("12", {"1": [VersionOverloadedError()], "2": ["ok"]}, "2", ("1",)),
        ("1", {"1": [VersionUnavailableError(), "ok"]}, "1", ("1",)),
        ("12", {"1": [VersionUnavailableError(), "ok"], "2": [ModelRaisedError()]}, "1", ("1", "2")),
    ],
)
async def test_the_next_version_is_tried_after_a_failure(
    ranked: str, outcomes: dict[str, list[Exception | str | None]], version: str, failed: tuple[str, ...]
) -> None:
    seen: list[str] = []
    answer = await Attempts(QUICK).call(list(ranked), asker(outcomes, []), seen)
    assert (answer.version, answer.value, tuple(seen)) == (version, "ok", failed)


@pytest.mark.parametrize(
    ("outcomes", "error", "asked"),
    [
        ({"1": [ModelRaisedError()]}, ModelRaisedError, "1"),  # the model's own mistake is not asked for twice
        (
            {"1": [VersionUnavailableError(), VersionUnavailableError(), "ok"]},
            VersionUnavailableError,
            "11",
        ),  # then the breaker is open
        ({"1": [VersionOverloadedError()] * 3}, VersionOverloadedError, "1"),  # it would refuse again
        ({"1": [None] * 3}, VersionTimedOutError, "11"),
    ],
)
async def test_the_last_failure_is_raised_when_no_version_answers(
    outcomes: dict[str, list[Exception | str | None]], error: type[VersionFailedError], asked: str
) -> None:
    seen: list[str] = []
    with pytest.raises(error):
        await Attempts(QUICK).call(["1"], asker(outcomes, seen), [])
    assert "".join(seen) == asked


async def test_an_error_of_the_caller_ends_the_call_at_once() -> None:
    seen: list[str] = []
    with pytest.raises(ValueError, match="column"):
        await Attempts(QUICK).call(["1", "2"], asker({"1": [ValueError("column")], "2": ["ok"]}, seen), [])
    assert seen == ["1"]


async def test_the_deadline_holds_over_all_attempts() -> None:
    settings = RoutingSettings(deadline_s=0.25, attempt_timeout_s=0.1, max_attempts=50, breaker_failures=50)
    started = asyncio.get_running_loop().time()
    with pytest.raises(VersionTimedOutError):
        await Attempts(settings).call(["1", "2"], asker({"1": [None] * 50, "2": [None] * 50}, []), [])
    assert asyncio.get_running_loop().time() - started < 0.25 + 1


async def test_a_version_with_an_open_breaker_is_not_tried() -> None:
    attempts = Attempts(QUICK)
    seen: list[str] = []
    attempt_at = asker({"1": [VersionUnavailableError(), VersionUnavailableError()], "2": ["ok"] * 3}, seen)
    for _ in range(3):
        assert (await attempts.call(["1", "2"], attempt_at, [])).version == "2"
    assert "".join(seen) == "12122"
    with pytest.raises(VersionUnavailableError, match="breaker is open"):
        await attempts.call(["1"], attempt_at, [])


async def test_requests_that_travelled_together_count_as_one_failure() -> None:
    attempts = Attempts(QUICK)
    lost = VersionUnavailableError()
    for _ in range(5):
        seen: list[str] = []
        assert (await attempts.call(["1"], asker({"1": [lost, "ok"]}, seen), [])).version == "1"


async def test_timeouts_of_one_call_are_one_failure() -> None:
    attempts = Attempts(QUICK)
    waiting = [attempts.call(["1"], asker({"1": [None, "ok"]}, []), []) for _ in range(20)]
    assert [answer.value for answer in await asyncio.gather(*waiting)] == ["ok"] * 20


async def test_cached_answer_does_not_close_the_breaker() -> None:
    attempts = Attempts(QUICK)

    async def remember(version: str) -> AttemptResult[str]:
        return AttemptResult("held", of_version=False)

    with pytest.raises(VersionUnavailableError):
        await attempts.call(["1"], asker({"1": [VersionUnavailableError() for _ in range(3)]}, []), [])
    assert attempts.breaker("1").is_open
    attempts.breaker("1").not_asked(0)
    assert (await attempts.call(["1"], remember, [])).value == "held"
    assert attempts.breaker("1").is_open


async def test_a_version_that_always_raises_opens_its_breaker_once_another_can_answer() -> None:
    """Every request would need a retry; without the breaker the budget would end first."""
    attempts = Attempts(RoutingSettings(retry_ratio=0.0, retry_reserve=6, breaker_failures=5, breaker_open_s=60))
    for _ in range(50):
        answer = await attempts.call(["1", "2"], asker({"1": [ModelRaisedError()], "2": ["ok"]}, []), [])
        assert answer.version == "2"
    assert attempts.breaker("1").is_open


async def test_a_request_that_every_version_raises_on_opens_no_breaker() -> None:
    attempts = Attempts(RoutingSettings(breaker_failures=1))
    with pytest.raises(ModelRaisedError):
        await attempts.call(["1", "2"], asker({"1": [ModelRaisedError()], "2": [ModelRaisedError()]}, []), [])
    assert not attempts.breaker("1").is_open
    assert not attempts.breaker("2").is_open


async def test_the_retry_budget_bounds_the_extra_calls() -> None:
    settings = RoutingSettings(max_attempts=3, retry_ratio=0.1, retry_reserve=5, breaker_failures=10_000)
    attempts = Attempts(settings)
    seen: list[str] = []
    for _ in range(200):
        with pytest.raises(VersionUnavailableError):
            await attempts.call(
                ["1", "2"],
                asker({"1": [VersionUnavailableError()] * 3, "2": [VersionUnavailableError()] * 3}, seen),
                [],
            )
    assert 200 < len(seen) <= 200 + 5 + 0.1 * 200


async def test_a_version_that_is_gone_is_forgotten() -> None:
    attempts = Attempts(QUICK)
    attempts.breaker("1").failed(0)
    attempts.breaker("1").failed(0)
    attempts.forget(["2"])
    assert not attempts.breaker("1").is_open
