"""What the replies say of the features that they rest on. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Freshness:
    """Feature rows by what they were found to be, one for each view of a request.

    Attributes:
        replies: that read features.
        degraded: replies for which the feature store gave no answer; their rows count nowhere else.
    """

    replies: int = 0
    fresh: int = 0
    stale: int = 0
    missing: int = 0
    degraded: int = 0

    @property
    def rows(self) -> int:
        """Rows asked for that the store answered for."""
        return self.fresh + self.stale + self.missing

    def __add__(self, other: Freshness) -> Freshness:
        return Freshness(
            self.replies + other.replies,
            self.fresh + other.fresh,
            self.stale + other.stale,
            self.missing + other.missing,
            self.degraded + other.degraded,
        )


def freshness(status: str | None, views: int) -> Freshness:
    """Of a reply to a request of one row.

    Args:
        status: the header ``x-feature-status``; None: a version without features answered.
        views: how many the version reads.

    Raises:
        ValueError: the header says something else.
    """
    if status is None:
        return Freshness()
    if status == "degraded":
        return Freshness(replies=1, degraded=1)
    lacking = [] if status == "fresh" else [part.rpartition("=")[2] for part in status.split(", ")]
    stale, missing = lacking.count("stale"), lacking.count("missing")
    if stale + missing != len(lacking):
        raise ValueError(f"x-feature-status: {status}")
    return Freshness(replies=1, fresh=views - len(lacking), stale=stale, missing=missing)
