"""Freshness by the header of a reply."""

from __future__ import annotations

from collections import Counter

import pytest

from jobs.run.freshness import freshness


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Counter()),
        ("fresh", Counter(replies=1, fresh=17)),
        ("tail_arrivals=stale, slot_arrivals=missing", Counter(replies=1, fresh=15, stale=1, missing=1)),
        ("degraded", Counter(replies=1, degraded=1)),
    ],
)
def test_header_is_counted(header: str | None, expected: Counter[str]) -> None:
    assert freshness(header, views=17) == expected


def test_unknown_status_is_refused() -> None:
    with pytest.raises(ValueError, match="x-feature-status: weather=old"):
        freshness("weather=old", views=17)


def test_counts_are_summed() -> None:
    total = freshness("fresh", 3) + freshness("a=stale", 3) + freshness("degraded", 3)
    assert total == Counter(replies=3, fresh=5, stale=1, degraded=1)
