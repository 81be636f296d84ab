"""The token bucket's arithmetic."""

from __future__ import annotations

import pytest

from app.gateway.access.rate_limit.bucket import Bucket, lot_of, pause_s, retry_after_s, share_of
from app.web.keys import Limit


@pytest.mark.parametrize(
    ("rate", "burst", "lot"),
    [
        (1, 1, 1),
        (0.1, 100, 1),  # one at a time: nothing of a slow rate is lost to a lease that ends
        (100, 200, 10),
        (100, 10, 2),  # no replica takes more than a quarter of the burst
        (10_000, 20_000, 1000),
        (10_000, 3, 1),
    ],
)
def test_the_lot_of_tokens_grows_with_the_rate(rate: float, burst: int, lot: int) -> None:
    assert lot_of(Limit(rate, burst)) == lot


@pytest.mark.parametrize(
    ("rate", "burst", "tokens", "pause"),
    [
        (1, 1, 0.25, 0.75),
        (100, 200, 0, 0.01),
        (10_000, 20_000, 0, 0.01),  # a hundred calls a second and no more
        (10_000, 3, 0, 0.0001),
        (100, 200, 3.5, 0),
    ],
)
def test_the_pause_before_an_empty_bucket_is_asked_again(
    rate: float, burst: int, tokens: float, pause: float
) -> None:
    assert pause_s(Limit(rate, burst), tokens) == pytest.approx(pause)


@pytest.mark.parametrize(
    ("rate", "tokens", "after"), [(100, 0, 1), (0.1, 0, 10), (0.1, 0.5, 5), (0.3, 0, 4), (1, 0.999, 1)]
)
def test_retry_after_is_when_a_token_is_there(rate: float, tokens: float, after: int) -> None:
    assert retry_after_s(Limit(rate, 1), tokens) == after


@pytest.mark.parametrize(("replicas", "share"), [(1, Limit(10, 5)), (2, Limit(5, 2)), (10, Limit(1, 1))])
def test_a_replicas_share_is_its_part_of_rate_and_burst(replicas: int, share: Limit) -> None:
    assert share_of(Limit(10, 5), replicas) == share


def test_a_bucket_lets_the_burst_through_and_then_the_rate() -> None:
    bucket = Bucket.full(Limit(8, 5), 100.0)
    assert [bucket.take(100.0) for _ in range(6)] == [True] * 5 + [False]
    assert [bucket.take(100.0 + step / 16) for step in range(1, 9)] == [False, True] * 4
    assert [bucket.take(200.0) for _ in range(6)] == [True] * 5 + [False], "a rest gives the burst, and no more"
    assert not bucket.take(150.0), "a clock that goes back gives nothing"


def test_tokens_given_elsewhere_are_taken_out() -> None:
    bucket = Bucket.full(Limit(10, 5), 0.0)
    bucket.drain(3, 0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    bucket.drain(100, 0.0)
    assert bucket.take(0.11), "never below empty"
