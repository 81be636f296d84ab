"""What the replayed traffic showed: counts, shares with their intervals, latency and quality per version. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from sklearn.metrics import brier_score_loss, roc_auc_score

from jobs.run.freshness import Freshness

Z95 = 1.959964
Z9999 = 3.890592


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request, answered or failed.

    Attributes:
        key: sticky key.
        started, ended: seconds on one monotonic clock.
        version: who answered; None when the request failed.
        score: predicted probability; label: what really happened, 0 or 1.
        fell_over: versions that failed before another one gave this answer.
        features: that the answer rests on.
        error: why there was no answer.
    """

    key: str
    started: float
    ended: float
    version: str | None
    score: float
    label: int
    fell_over: tuple[str, ...] = ()
    features: Freshness = field(default_factory=Freshness)
    error: str | None = None


class Interval(NamedTuple):
    """A share with its confidence interval."""

    share: float
    low: float
    high: float


def wilson(hits: int, trials: int, z: float = Z95) -> Interval:
    """A binomial share with Wilson's score interval (Wilson, JASA 22, 1927, eq. 4)."""
    if trials == 0:
        return Interval(math.nan, 0.0, 1.0)
    share = hits / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the predictions were; NaN while only one outcome has been seen."""

    auc: float
    brier: float


@dataclass(slots=True)
class VersionTally:
    """One version's answers since the traffic began, and how often it gave none so that another one had to."""

    requests: int = 0
    failed_attempts: int = 0
    latencies_s: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    features: Freshness = field(default_factory=Freshness)

    def latency_ms(self, quantile: float) -> float:
        """A quantile of the callers' latency, milliseconds."""
        return float(np.quantile(self.latencies_s, quantile)) * 1e3 if self.latencies_s else math.nan

    def quality(self) -> Quality:
        """Against the true outcomes so far."""
        if len(set(self.labels)) < 2:
            return Quality(math.nan, math.nan)
        return Quality(
            float(roc_auc_score(self.labels, self.scores)), float(brier_score_loss(self.labels, self.scores))
        )


@dataclass(slots=True)
class Phase:
    """The traffic under one setting of the weights.

    A key's requests all meet one version, so the independent draws behind a share are the keys, not the requests.

    Attributes:
        followed_s: seconds until every gateway replica was seen to follow the weights.
        closed_at: when the next change began; a request that was still under way counts in no share.
    """

    weights: Mapping[str, float]
    followed_s: float
    closed_at: float = math.inf
    requests: Counter[str] = field(default_factory=Counter)
    keys: dict[str, str] = field(default_factory=dict)

    def share(self, version: str, z: float = Z95) -> Interval:
        """Share of the keys that met ``version``."""
        return wilson(sum(found == version for found in self.keys.values()), len(self.keys), z)

    def request_share(self, version: str) -> float:
        """Share of the requests that ``version`` answered."""
        total = sum(self.requests.values())
        return self.requests[version] / total if total else math.nan

    def as_set(self) -> bool:
        """Whether every version's weight lies in its share's 99.99 % interval."""
        return all(
            low <= weight + 1e-12 and weight - 1e-12 <= high
            for weight, (_, low, high) in ((w, self.share(v, Z9999)) for v, w in self.weights.items())
        )


class Tally:
    """Everything seen so far. ``order``: the versions from champion to challenger; keys may move that way only."""

    def __init__(self, order: Sequence[str]) -> None:
        self._place = {version: place for place, version in enumerate(order)}
        self._reached: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self.versions = {version: VersionTally() for version in order}
        self.phases: list[Phase] = []
        self.failures: list[str] = []
        self.moved_back = 0
        self.fell_over = 0

    @property
    def requests(self) -> int:
        """Requests ended, answered or failed."""
        return sum(found.requests for found in self.versions.values()) + len(self.failures)

    @property
    def phase(self) -> Phase | None:
        """The phase in force; None while the weights change."""
        return self.phases[-1] if self.phases and self.phases[-1].closed_at == math.inf else None

    def close(self, now: float) -> None:
        """The weights are about to change."""
        if self.phases:
            self.phases[-1].closed_at = now

    def begin(self, weights: Mapping[str, float], followed_s: float) -> None:
        """New weights are in force and read back."""
        self.phases.append(Phase(dict(weights), followed_s))

    def add(self, outcome: Outcome, phase: Phase | None) -> None:
        """Count a request that was sent in ``phase``."""
        if outcome.version is None:
            self.failures.append(outcome.error or "no reason given")
            return
        found = self.versions.setdefault(outcome.version, VersionTally())
        found.requests += 1
        found.latencies_s.append(outcome.ended - outcome.started)
        found.scores.append(outcome.score)
        found.labels.append(outcome.label)
        found.features += outcome.features
        self.fell_over += bool(outcome.fell_over)
        for version in outcome.fell_over:
            self.versions.setdefault(version, VersionTally()).failed_attempts += 1
        if phase is not None and outcome.ended <= phase.closed_at:
            phase.requests[outcome.version] += 1
            phase.keys[outcome.key] = outcome.version
        self._follow(outcome)

    def _follow(self, outcome: Outcome) -> None:
        """A key moved back if a request sent after an answer of a later version met an earlier one."""
        assert outcome.version is not None
        place = self._place.setdefault(outcome.version, len(self._place))
        reached = self._reached[outcome.key]
        self.moved_back += any(ended < outcome.started and place < before for ended, before in reached)
        reached.append((outcome.ended, place))
