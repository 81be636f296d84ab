"""Counts of the replayed traffic: shares with their intervals, latency and quality per version. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from sklearn.metrics import brier_score_loss, roc_auc_score

Z95 = 1.959964
Z9999 = 3.890592


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request, answered or failed.

    Attributes:
        key: sticky key.
        started, ended: seconds on one monotonic clock.
        version: the one that answered; None when the request failed.
        score: predicted probability; label: what really happened, 0 or 1.
        fell_over: versions that failed before another one gave this answer, the one picked first.
        features: counts as of :func:`jobs.run.freshness.freshness`.
        error: why there was no answer.
    """

    key: str
    started: float
    ended: float
    version: str | None
    score: float
    label: int
    fell_over: tuple[str, ...] = ()
    features: Counter[str] = field(default_factory=Counter)
    error: str | None = None

    @property
    def picked(self) -> str | None:
        """The version that the split chose, which may not be the one that answered; None without an answer."""
        return self.fell_over[0] if self.fell_over else self.version


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
    """Quality of the predictions; NaN while only one outcome has been seen."""

    auc: float
    brier: float


@dataclass(slots=True)
class VersionTally:
    """Answers of one version since the traffic began, and requests that another one had to answer in its place."""

    requests: int = 0
    failed_attempts: int = 0
    latencies_s: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    features: Counter[str] = field(default_factory=Counter)

    def latency_ms(self, quantile: float) -> float:
        """Returns a quantile of the callers' latency, milliseconds."""
        return float(np.quantile(self.latencies_s, quantile)) * 1e3 if self.latencies_s else math.nan

    def quality(self) -> Quality:
        """Returns the quality against the true outcomes so far."""
        if len(set(self.labels)) < 2:
            return Quality(math.nan, math.nan)
        return Quality(
            float(roc_auc_score(self.labels, self.scores)), float(brier_score_loss(self.labels, self.scores))
        )


@dataclass(slots=True)
class Phase:
    """The traffic under one setting of the weights.

    A key's requests all meet one version, so the independent draws behind a share are the keys, not the requests.
    A release moves the weights, and this side hears of it a moment later: what was answered after that instant is
    taken out again when the phase is closed.

    Attributes:
        followed_s: seconds from the decision until every gateway replica was seen to follow the weights.
        closed_at: when the next change was decided; a request that was still under way counts in no share.
        requests: answers by the version picked.
        keys: sticky key -> version picked.
    """

    weights: Mapping[str, float]
    followed_s: float
    closed_at: float = math.inf
    requests: Counter[str] = field(default_factory=Counter)
    keys: dict[str, str] = field(default_factory=dict)
    _seen: list[tuple[float, str, str]] = field(default_factory=list)

    def add(self, ended: float, key: str, picked: str) -> None:
        """Count an answer, unless it came after the end."""
        if ended <= self.closed_at:
            self._seen.append((ended, key, picked))
            self.requests[picked] += 1
            self.keys[key] = picked

    def close(self, at: float) -> None:
        """End the phase at ``at``, which may lie in the past: the next weights were decided then."""
        seen, self.closed_at = self._seen, at
        self._seen, self.requests, self.keys = [], Counter(), {}
        for answer in seen:
            self.add(*answer)

    def share(self, version: str, z: float = Z95) -> Interval:
        """Returns the share of the keys for which ``version`` was picked."""
        return wilson(sum(found == version for found in self.keys.values()), len(self.keys), z)

    def request_share(self, version: str) -> float:
        """Returns the share of the requests for which ``version`` was picked."""
        total = sum(self.requests.values())
        return self.requests[version] / total if total else math.nan

    def as_set(self) -> bool:
        """Returns True where every version's weight lies in its share's 99.99 % interval."""
        return all(
            low <= weight + 1e-12 and weight - 1e-12 <= high
            for weight, (_, low, high) in ((w, self.share(v, Z9999)) for v, w in self.weights.items())
        )


@dataclass(slots=True)
class Rise:
    """One release while its challenger's weight only rises: a key that has met the challenger stays with it.

    Attributes:
        until: when the way back was decided; from then on keys return, as they should.
    """

    champion: str
    challenger: str
    until: float = math.inf
    _seen: list[tuple[float, float, str, str]] = field(default_factory=list)

    def add(self, started: float, ended: float, key: str, picked: str) -> None:
        """Count an answer to a request that was sent while the release was under way."""
        self._seen.append((started, ended, key, picked))

    def moved_back(self) -> int:
        """Returns the requests for which the champion was picked although the challenger had answered an earlier
        request of the same key by then."""
        reached: dict[str, float] = {}
        for _, ended, key, picked in self._seen:
            if picked == self.challenger:
                reached[key] = min(ended, reached.get(key, math.inf))
        return sum(
            picked == self.champion and started > reached.get(key, math.inf) and ended <= self.until
            for started, ended, key, picked in self._seen
        )


class Tally:
    """Sum of everything that was seen so far."""

    def __init__(self) -> None:
        self.versions: dict[str, VersionTally] = {}
        self.phases: list[Phase] = []
        self.rises: list[Rise] = []
        self.failures: list[str] = []
        self.fell_over = 0

    @property
    def requests(self) -> int:
        """Requests ended, answered or failed."""
        return sum(found.requests for found in self.versions.values()) + len(self.failures)

    @property
    def phase(self) -> Phase | None:
        """The phase in force; None while the weights change."""
        return self.phases[-1] if self.phases and self.phases[-1].closed_at == math.inf else None

    @property
    def rise(self) -> Rise | None:
        """The newest release, until its way back; a promoted one goes on until the next begins."""
        return self.rises[-1] if self.rises and self.rises[-1].until == math.inf else None

    @property
    def moved_back(self) -> int:
        """Times a key went from a challenger to its champion without a way back."""
        return sum(rise.moved_back() for rise in self.rises)

    def version(self, version: str) -> VersionTally:
        """Returns the tally of one version."""
        return self.versions.setdefault(version, VersionTally())

    def close(self, at: float) -> None:
        """End the phase in force: other weights were decided at ``at``."""
        if self.phase is not None:
            self.phase.close(at)

    def begin(self, weights: Mapping[str, float], followed_s: float) -> None:
        """Begin a phase: new weights are in force and read back."""
        self.phases.append(Phase(dict(weights), followed_s))

    def add(self, outcome: Outcome, phase: Phase | None, rise: Rise | None) -> None:
        """Count a request that was sent in ``phase`` and ``rise``."""
        if outcome.version is None or outcome.picked is None:
            self.failures.append(outcome.error or "no reason given")
            return
        found = self.version(outcome.version)
        found.requests += 1
        found.latencies_s.append(outcome.ended - outcome.started)
        found.scores.append(outcome.score)
        found.labels.append(outcome.label)
        found.features += outcome.features
        self.fell_over += bool(outcome.fell_over)
        for version in outcome.fell_over:
            self.version(version).failed_attempts += 1
        if phase is not None:
            phase.add(outcome.ended, outcome.key, outcome.picked)
        if rise is not None:
            rise.add(outcome.started, outcome.ended, outcome.key, outcome.picked)
