"""Replicas that a release needs of each version, and whether they run. Pure."""

from __future__ import annotations

import math

from app.releases.lifecycle.observation import Observation, ReserveCapacity
from app.releases.model.release import LEAVING, Release

CAPACITY_WAIT_S = 30.0
"""On the way back: time the champion's replicas have before the traffic moves all the same, seconds."""


def of_challenger(release: Release) -> int:
    """Replicas that the challenger needs for what the present phase gives it, by what the champion had for all of the
    traffic: its share, what is mirrored to it, and everything where the switch is to be at once."""
    at_once = release.plan.strategy == "blue_green"
    share = 1.0 if at_once else max(release.weight or 0.0, release.plan.mirror)
    return max(1, math.ceil(release.replicas * share - 1e-9))


def challenger_stands(release: Release, seen: Observation) -> bool:
    """True where the challenger is deployed with the replicas that it needs."""
    version = release.challenger
    return version in seen.weights and seen.running.get(version, 0) >= of_challenger(release)


def champion_stands(release: Release, seen: Observation) -> bool:
    """True where the champion can take all the traffic back: with the replicas it had, or, when those do not come,
    with those it has."""
    if release.champion is None:
        return True
    running = seen.running.get(release.champion, 0)
    return running >= release.replicas or (running > 0 and seen.now - release.since >= CAPACITY_WAIT_S)


def reservations(release: Release) -> list[ReserveCapacity]:
    """Capacity whatever the traffic: the champion's for the way back, the challenger's before it gets its share."""
    found = []
    if release.champion is not None and release.phase not in ("retiring", "removing"):
        found.append(ReserveCapacity(release.champion, release.replicas))
    if release.phase not in LEAVING and release.phase != "retiring":
        found.append(ReserveCapacity(release.challenger, of_challenger(release)))
    return found
