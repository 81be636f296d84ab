"""The counters of the join."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class JoinStats:
    """Counts since the start, over all models.

    Attributes:
        indexed: predictions kept for a label, or joined with one that was there before.
        other_version, pinned, cached, failed, several_rows, without_value: predictions that no label judges
            (``answer.UnjudgedReason``).
        before: predictions and labels of a time before the release.
        repeated: predictions that came again; reused: others under a request id that an earlier one had.
        full: predictions for which there was no room.
        expired: predictions let go because of their age.
        joined: losses that were handed on.
        unjudged: labels of predictions that no label judges.
        duplicates: labels of a prediction that had one.
        early: labels that came before their prediction; unmatched: those of them whose prediction did not come.
        late: labels whose prediction was older than the time in which labels count.
        unreadable: entries of the streams that are no records.
        trimmed: entries that the streams had let go of before a process that was lost was through with them.
        refused: records that Redis would not take in, for good.
        failures: times that Redis gave no answer; each time all was done again.
    """

    indexed: int = 0
    other_version: int = 0
    pinned: int = 0
    cached: int = 0
    failed: int = 0
    several_rows: int = 0
    without_value: int = 0
    before: int = 0
    repeated: int = 0
    reused: int = 0
    full: int = 0
    expired: int = 0
    joined: int = 0
    unjudged: int = 0
    duplicates: int = 0
    early: int = 0
    unmatched: int = 0
    late: int = 0
    unreadable: int = 0
    trimmed: int = 0
    refused: int = 0
    failures: int = 0


NAMES = frozenset(field.name for field in fields(JoinStats))


class Tally:
    """A sum of the counters of :class:`JoinStats`, by name."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, name: str, count: int = 1) -> None:
        """Counts ``name`` up."""
        assert name in NAMES, name
        self._counts[name] += count

    def stats(self) -> JoinStats:
        """The counts so far."""
        return JoinStats(**self._counts)
