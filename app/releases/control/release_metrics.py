"""Ray metrics of releases: where those under way are, what the judge holds against them, how they ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from app.monitoring.metrics import Counts, Levels
from app.releases.model.release import Release

MAX_E_VALUE = 1e300
"""E-values above it are shown as it: evidence may leave a double's range."""

ByModel = Mapping[tuple[str, ...], float]


class ReleaseMetrics:
    """One controller's; told only of what is stored."""

    def __init__(self) -> None:
        self._endings: Counter[str] = Counter()
        self._under_way = Levels("tidegate_releases", "Releases under way, by phase", "model", "phase")
        self._weight = Levels("tidegate_release_weight", "The challenger's share of the traffic", "model", "version")
        self._evidence = Levels(
            "tidegate_release_evidence", "The judge's e-value that a challenger is worse", "model", "guard"
        )
        self._bound = Levels(
            "tidegate_release_evidence_bound", "The e-value at which the challenger is taken back", "model", "guard"
        )
        self._ended = Counts("tidegate_releases_ended", "Releases that ended, by how", "ending")
        self._dropped = Counts("tidegate_release_samples_dropped", "Samples that no judge counted, by why", "why")

    def publish(self, live: Collection[Release], weights: Mapping[str, Mapping[str, float]], late: int = 0) -> None:
        """Shows the releases under way.

        Args:
            weights: model -> version -> its weight in the route table.
            late: samples that came after their tick had been judged, so far.
        """
        self._under_way.publish({(release.model, release.phase): 1.0 for release in live})
        self._weight.publish(
            {(each.model, each.challenger): weights.get(each.model, {}).get(each.challenger, 0.0) for each in live}
        )
        evidence, bounds = judged(live)
        self._evidence.publish(evidence)
        self._bound.publish(bounds)
        self._ended.publish(self._endings)
        self._dropped.publish({"late": late})

    def ended(self, release: Release) -> None:
        """Counts a release that has ended."""
        self._endings[release.phase] += 1


def judged(live: Collection[Release]) -> tuple[ByModel, ByModel]:
    """The e-value that the challenger is worse, and the bound that fails it, by model and guard. Pure."""
    evidence: dict[tuple[str, ...], float] = {}
    bounds: dict[tuple[str, ...], float] = {}
    for release in live:
        for guard in (release.report or {}).get("guards", ()):
            key = (release.model, guard["name"])
            evidence[key], bounds[key] = min(guard["fail_e"], MAX_E_VALUE), guard["bound"]
    return evidence, bounds
