"""What a reply's header says of its features."""

from __future__ import annotations

import pytest

from jobs.run.freshness import Freshness, freshness


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Freshness()),
        ("fresh", Freshness(replies=1, fresh=17)),
        ("tail_arrivals=stale, slot_arrivals=missing", Freshness(replies=1, fresh=15, stale=1, missing=1)),
        ("degraded", Freshness(replies=1, degraded=1)),
    ],
)
def test_by_header(header: str | None, expected: Freshness) -> None:
    assert freshness(header, views=17) == expected


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="x-feature-status: weather=old"):
        freshness("weather=old", views=17)


def test_sums() -> None:
    total = freshness("fresh", 3) + freshness("a=stale", 3) + freshness("degraded", 3)
    assert total == Freshness(replies=3, fresh=5, stale=1, degraded=1)
    assert total.rows == 6
