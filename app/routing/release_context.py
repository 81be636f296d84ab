"""The part of a release under way that gateway replicas need; the route table carries it. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class OutputRange:
    """An output whose mean is watched for drift, and the range to which its values are cut."""

    output: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OutputMatch:
    """An output in which two answers to one request must agree: to within a difference or, of text, exactly."""

    output: str
    within: float


@dataclass(frozen=True, slots=True)
class OutputLoss:
    """An output that is the probability of label 1, and the loss by which it is judged once the label is known."""

    output: str
    loss: Literal["error", "brier"]
    threshold: float


@dataclass(frozen=True, slots=True)
class ReleaseContext:
    """A release under way, as far as gateway replicas need it.

    Attributes:
        release: its id.
        champion: None for the first version of a model, which is compared with no other.
        mirror: share of the champion's requests that the challenger answers too, unseen by callers.
        pinned: ids of the API keys whose requests may choose a version by header; ``*`` for every caller.
        slow_over_s: time inside the version from which an answer counts as slow, seconds; None: not measured.
        drift, agreement, quality: measurements of the outputs; None: not measured.
        guards: the plan's guards as JSON (``app.monitoring.guards``); empty in tables of older controllers, where the
            four fields above say all.
        unknown: fields of a newer version (``app.stored_document``).
    """

    release: str
    champion: str | None
    challenger: str
    mirror: float = 0.0
    pinned: tuple[str, ...] = ()
    slow_over_s: float | None = None
    drift: OutputRange | None = None
    agreement: OutputMatch | None = None
    quality: OutputLoss | None = None
    guards: tuple[str, ...] = ()
    unknown: str = ""
