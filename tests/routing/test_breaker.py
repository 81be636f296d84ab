"""Circuit breaker and retry budget, told the time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.routing.breaker import Breaker, RetryBudget


def test_opens_after_failures_in_a_row_and_lets_one_probe_through() -> None:
    breaker = Breaker(failures=3, open_s=5)
    for now in (0.0, 1.0, 2.0):
        assert breaker.allows(now)
        breaker.failed(now)
    assert breaker.is_open
    assert not breaker.allows(6.9)
    assert breaker.allows(7.0)  # the probe
    assert not breaker.allows(7.1)  # and no second one
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.allows(7.2)


def test_a_failed_probe_opens_it_anew_and_a_lost_one_does_not_block() -> None:
    breaker = Breaker(failures=1, open_s=5)
    breaker.failed(0)
    assert breaker.allows(5)
    breaker.failed(6)
    assert not breaker.allows(10.9)
    assert breaker.allows(11)  # this probe's outcome never arrives
    assert not breaker.allows(15.9)
    assert breaker.allows(16)


def test_a_success_resets_the_count_of_failures() -> None:
    breaker = Breaker(failures=2, open_s=5)
    breaker.failed(0)
    breaker.succeeded()
    breaker.failed(1)
    assert breaker.allows(1)


@given(st.integers(1, 500), st.floats(0, 1), st.integers(1, 20))
def test_retries_stay_within_the_budget(requests: int, ratio: float, reserve: int) -> None:
    budget = RetryBudget(ratio, reserve)
    retries = 0
    for _ in range(requests):
        budget.request()
        while budget.spend():
            retries += 1
    assert retries <= reserve + ratio * requests + 1e-6
