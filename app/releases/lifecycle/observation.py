"""The cluster as a release observes it, and the actions that it may ask for. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.releases.judge import Verdict
from app.releases.model.release import Note

Work = Literal["weights", "follow", "deploy", "replicas", "take_down", "move_inline", "registry"]
"""Work that a release waits for: writing its weights, every gateway replica following them, a version's deployment,
its replicas, its deletion, its move into the gateway replicas, the registry taking a note."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The cluster as one release sees it.

    Attributes:
        now: seconds since the epoch.
        weights: version -> weight in the route table; a version that is not deployed is absent.
        announced: true where the table holds this release's context, to the letter.
        followed: true where every gateway replica follows the table.
        running: version -> replicas that answer; for an inline version a number that is always enough.
        inline: versions that the table places in the gateway replicas.
        apps: versions that have a Serve application, named by the table or not, or one that is being made.
        failed: version -> why it can never be deployed.
        delivered: number of the last note that the registry has.
        verdict, why: the judge's verdict and its grounds.
        counted: requests judged so far, the smaller arm's.
        errors: (work, version) -> why that work is not done, as it was last tried; the version is empty where the
            work is of none.
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
    errors: Mapping[tuple[Work, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deploy:
    """Start a version and enter it into the route table at weight 0, or with the weight it has there."""

    version: str


@dataclass(frozen=True, slots=True)
class ReserveCapacity:
    """Keep at least ``replicas`` replicas of a version for now, whatever its traffic."""

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
    """Write the oldest note of the outbox to the registry."""

    note: Note


Action = Deploy | ReserveCapacity | SetWeights | TakeDown | MoveInline | Deliver
