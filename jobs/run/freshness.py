"""The freshness of the features that a reply rests on. Pure."""

from __future__ import annotations

from collections import Counter

STATUSES = ("fresh", "stale", "missing")
"""Statuses of a feature row; one row for each view of a request."""
COUNTS = ("replies", *STATUSES, "degraded")
"""Replies that read features; rows by status; replies for which the feature store gave no answer."""


def freshness(status: str | None, views: int) -> Counter[str]:
    """Returns the counts of a reply to a request of one row.

    Args:
        status: the header ``x-feature-status``; None: a version without features answered.
        views: feature views that the version reads.

    Raises:
        ValueError: the header says something else.
    """
    if status is None:
        return Counter()
    if status == "degraded":
        return Counter(replies=1, degraded=1)
    lacking = [] if status == "fresh" else [part.rpartition("=")[2] for part in status.split(", ")]
    stale, missing = lacking.count("stale"), lacking.count("missing")
    if stale + missing != len(lacking):
        raise ValueError(f"x-feature-status: {status}")
    return Counter(replies=1, fresh=views - len(lacking), stale=stale, missing=missing)
