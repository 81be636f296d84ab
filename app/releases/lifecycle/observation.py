"""What a release sees of the world, and what it may ask for. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.releases.model.release import Note

Verdict = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True, slots=True)
class Observation:
    """The world as a release sees it.

    Attributes:
        now: seconds since the epoch.
        weights: version -> weight in the route table; a version that is not deployed is absent.
        announced: true where the table holds this release's context, to the letter.
        followed: whether every gateway replica follows the table.
        running: version -> replicas that answer; an inline version has as many as anybody wants.
        inline: versions that the table places in the gateway replicas.
        apps: versions of which a Serve application exists, named by the table or not, or is being made.
        failed: version -> why it cannot be deployed, where that is for good.
        delivered: number of the last note that the registry has.
        verdict, why: what the judge says, and on what grounds.
        counted: requests judged so far, the smaller arm's.
    """

    now: float
    weights: Mapping[str, float]
    announced: bool = False
    followed: bool = False
    running: Mapping[str, int] = field(default_factory=dict)
    inline: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)
    delivered: int = 0
    verdict: Verdict = "undecided"
    why: str = ""
    counted: int = 0


@dataclass(frozen=True, slots=True)
class Deploy:
    """Start a version and enter it into the route table at weight 0, or with the weight it has there."""

    version: str


@dataclass(frozen=True, slots=True)
class ReserveCapacity:
    """Keep at least so many replicas of a version for now, whatever its traffic."""

    version: str
    replicas: int


@dataclass(frozen=True, slots=True)
class SetWeights:
    """Set these weights, and this release's context in the table (or none)."""

    weights: Mapping[str, float]
    announced: bool


@dataclass(frozen=True, slots=True)
class TakeDown:
    """Drain a version without weight and delete it, and what is left of it that the table does not name."""

    version: str


@dataclass(frozen=True, slots=True)
class MoveInline:
    """Have every gateway replica load a version that has all the traffic, and then delete its own replicas."""

    version: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """Make the oldest note of the outbox."""

    note: Note


Action = Deploy | ReserveCapacity | SetWeights | TakeDown | MoveInline | Deliver
