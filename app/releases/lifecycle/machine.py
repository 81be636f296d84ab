"""The state machine of a release. Pure: ``decide(release, observation) -> (release, actions)``.

The release is stored before its actions are begun, and an action is asked for as long as the observation does not
show it done: a controller that takes over after a crash finds in the document where the release is, and in the
cluster what is still to do. Actions are idempotent; the order that matters is kept by the phases:

- forward: deployed and warm → capacity → weight → followed by every gateway replica → … → alias → the old champion
  deleted, the new one inline where its model wants that;
- back: the champion's capacity → weight → followed → challenger deleted, and the registry told.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.releases.lifecycle.capacity import challenger_stands, champion_stands, reservations
from app.releases.lifecycle.observation import Action, Deliver, Deploy, MoveInline, Observation, SetWeights, TakeDown
from app.releases.lifecycle.phases import moved_inline, same_weights, step_on, target_weights, weights_before
from app.releases.model.release import COMMITTED, LEAVING, Release

_PHASES = 12


@dataclass(frozen=True, slots=True)
class Decision:
    """The release as it is to be stored, and then what is to be done."""

    release: Release
    actions: tuple[Action, ...]


def decide(release: Release, seen: Observation) -> Decision:
    """The next state, and what it asks for."""
    release = _delivered(release, seen)
    for _ in range(len(release.plan.steps) + _PHASES):  # several at once where nothing is to wait for
        moved = step_on(release, seen)
        if (moved.phase, moved.step) == (release.phase, release.step):
            return Decision(moved, () if moved.is_final else tuple(_actions(moved, seen)))
        release = moved
    raise AssertionError(f"release {release.id} does not come to rest; phase {release.phase}")


def _actions(release: Release, seen: Observation) -> list[Action]:
    found: list[Action] = [*reservations(release)]
    found += [Deploy(version) for version in _kept(release) if _is_gone(version, release, seen)]
    found += _set_weights(release, seen)
    found += _take_down(release, seen)
    if release.phase == "retiring" and not seen.announced and seen.followed and not moved_inline(release, seen):
        found.append(MoveInline(release.challenger))
    if release.outbox:
        found.append(Deliver(release.outbox[0]))
    return found


def _kept(release: Release) -> list[str]:
    """Versions that must be deployed in this phase."""
    if release.phase == "retiring":
        return [release.challenger]
    champion = [] if release.champion is None else [release.champion]
    return champion if release.phase in LEAVING else [*champion, release.challenger]


def _is_gone(version: str, release: Release, seen: Observation) -> bool:
    given_up = version in seen.failed and release.phase not in COMMITTED
    return not given_up and not (version in seen.weights and seen.running.get(version, 0))


def _set_weights(release: Release, seen: Observation) -> list[Action]:
    """Sets the phase's weights and release context, once the version that gets weight has the capacity."""
    weights = target_weights(release)
    if release.phase == "restoring":
        weights = weights_before(release) if champion_stands(release, seen) else None
    elif release.phase in ("step", "switching") and not challenger_stands(release, seen):
        weights = None
    announced = release.phase not in ("retiring", "removing")
    if weights is None or any(version not in seen.weights for version in weights):
        return []
    return (
        []
        if same_weights(weights, seen.weights) and seen.announced == announced
        else [SetWeights(weights, announced)]
    )


def _take_down(release: Release, seen: Observation) -> list[Action]:
    """The version that the phase deletes, once every gateway replica knows that it has no weight."""
    version = None
    if release.phase == "retiring":
        version = release.champion
    elif release.phase == "removing" and release.challenger not in release.before:
        version = release.challenger
    if version is None or seen.weights.get(version) or seen.announced or not seen.followed:
        return []
    return [TakeDown(version)] if version in seen.weights or version in seen.apps else []


def _delivered(release: Release, seen: Observation) -> Release:
    left = tuple(note for note in release.outbox if note.number > seen.delivered)
    return release if len(left) == len(release.outbox) else release.model_copy(update={"outbox": left})
