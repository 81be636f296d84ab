"""The phases of a release: what each one waits for, and which one is next. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from app.releases.lifecycle.capacity import challenger_stands, champion_stands, of_challenger
from app.releases.lifecycle.observation import Observation, Work
from app.releases.model.release import HISTORY, Ending, HistoryEntry, Note, Phase, Release
from app.releases.model.tags import CHALLENGER_ALIAS, CHAMPION_ALIAS, RESULT_TAG

CONTROLLER = "controller"

INLINE_WAIT_S = 180.0
"""Time the gateway replicas have to load a new champion that is to be inline, seconds since the phase retiring
began; then it keeps replicas of its own, and the reconciler finishes a move that is half done."""

_TAG_LENGTH = 4000
"""Longest value of a tag, characters (MLflow takes 5,000)."""

_FAILED: Mapping[Work, str] = {
    "weights": "the weights could not be written",
    "follow": "a gateway replica is behind",
    "deploy": "version {} could not be deployed",
    "replicas": "version {} has too few replicas",
    "take_down": "version {} could not be deleted",
    "move_inline": "version {} could not be moved into the gateway replicas",
    "registry": "the registry did not take a note",
}


def step_on(release: Release, seen: Observation) -> Release:
    """The release in the next phase or step, or where it is with what it waits for and why."""
    failed = seen.failed.get(release.challenger)
    if failed is not None and release.phase in ("preparing", "step", "confirming", "switching", "settling"):
        return begin_restoring(
            release, seen.now, CONTROLLER, f"version {release.challenger} cannot be deployed: {failed}"
        )
    if seen.verdict == "fail" and release.phase in ("switching", "settling"):
        # by what came in late: the last seconds of the last step, and labels
        return begin_restoring(release, seen.now, CONTROLLER, seen.why)
    match release.phase:
        case "preparing":
            return _prepare(release, seen)
        case "step":
            return _step(release, seen)
        case "confirming":
            return _confirm(release, seen)
        case "switching":
            return _switch(release, seen)
        case "settling":
            return _settle(release, seen)
        case "committing":
            return _commit(release, seen)
        case "retiring":
            return _retire(release, seen)
        case "restoring":
            return _restore(release, seen)
        case "removing":
            return _remove(release, seen)
        case _:
            return release


def target_weights(release: Release) -> dict[str, float] | None:
    """The weights of the present phase; None: leave them as they are."""
    share = release.weight
    if share is None:
        return None
    if share == 0.0:
        return weights_before(release)
    if share == 1.0 or release.champion is None:
        return {release.challenger: 1.0}
    return {release.champion: 1.0 - share, release.challenger: share}


def weights_before(release: Release) -> dict[str, float]:
    """The weights at the start; all 0 where no version had the traffic."""
    return {version: weight for version, weight in release.before.items() if weight} or {release.challenger: 0.0}


def same_weights(weights: Mapping[str, float], held: Mapping[str, float]) -> bool:
    """True where two mappings hold the same weights; a version that is not named has weight 0."""
    return all(math.isclose(weights.get(v, 0.0), held.get(v, 0.0), abs_tol=1e-9) for v in {*weights, *held})


def moved_inline(release: Release, seen: Observation) -> bool:
    """True once the new champion is placed as its model's serving entry says. Its own replicas go last: once they are
    gone, every gateway replica has loaded it."""
    version = release.challenger
    return not release.inline or (version in seen.inline and version not in seen.apps)


def begin_phase(release: Release, phase: Phase, now: float) -> Release:
    """The release at the beginning of a phase."""
    begun = {"phase": phase, "since": now, "followed_since": None, "approved": False}
    return waiting_for(release.model_copy(update=begun), "")


def begin_restoring(release: Release, now: float, who: str, why: str, ending: Ending = "rolled_back") -> Release:
    """The release at the beginning of its way back.

    A note that would give the challenger the alias champion is withdrawn. It may have been delivered already without
    an answer, so the alias is given back all the same (``given_alias``).
    """
    begun = begin_phase(release, "restoring", now).model_copy(
        update={
            "ending": ending,
            "reason": why,
            "paused": False,
            "outbox": tuple(note for note in release.outbox if note.name != CHAMPION_ALIAS),
        }
    )
    return with_history(begun, now, who, f"the way back begins: {why}")


def with_history(release: Release, now: float, who: str, what: str) -> Release:
    """The release with one entry more in its history."""
    return release.model_copy(
        update={"history": (*release.history, HistoryEntry(at=now, who=who, what=what))[-HISTORY:]}
    )


def _prepare(release: Release, seen: Observation) -> Release:
    if not challenger_stands(release, seen):
        return _waiting_for_challenger(release, seen)
    if not (_followed(release, seen) and seen.announced):
        return _waiting_for_gateway(release, seen, "every gateway replica to know of it")
    if release.champion is None:
        begun = begin_phase(release, "switching", seen.now)
        return with_history(begun, seen.now, CONTROLLER, "the model has no champion to compare with: all the traffic")
    return _begin_step(release, 0, seen.now)


def _step(release: Release, seen: Observation) -> Release:
    step = release.plan.steps[release.step]
    if seen.verdict == "fail":
        return begin_restoring(release, seen.now, CONTROLLER, seen.why)
    if not challenger_stands(release, seen):
        return _waiting_for_challenger(release, seen)
    if release.followed_since is None:
        if not (_followed(release, seen) and seen.announced):
            return _waiting_for_gateway(release, seen, f"every gateway replica to follow {step.weight:.0%}")
        release = release.model_copy(update={"followed_since": seen.now, "counted": seen.counted})
    if release.paused:
        return waiting_for(release, "resume: it is paused")
    if release.approved:
        return _after_step(release, seen.now)
    assert release.followed_since is not None
    elapsed = seen.now - release.followed_since
    lacking = _lacking(release, seen, elapsed)
    if not lacking:
        why = "its time is over" if step.gate == "time" else seen.why
        return _after_step(
            with_history(release, seen.now, CONTROLLER, f"step {release.step} is through: {why}"), seen.now
        )
    if step.max_duration is not None and elapsed >= step.max_duration:
        undecided = f"undecided after {step.max_duration:g} s at {step.weight:.0%}"
        match release.plan.when_undecided:
            case "roll_back":
                return begin_restoring(release, seen.now, CONTROLLER, undecided)
            case "promote":
                undecided_step = with_history(release, seen.now, CONTROLLER, f"{undecided}: the plan goes on")
                return _after_step(undecided_step, seen.now)
    return waiting_for(release, ", ".join(lacking))


def _lacking(release: Release, seen: Observation, elapsed: float) -> list[str]:
    """Conditions that keep the present step's gate shut, in words."""
    step = release.plan.steps[release.step]
    judged = seen.counted - release.counted
    lacking = []
    if elapsed < step.min_duration:
        lacking.append(f"{step.min_duration - elapsed:.0f} s more")
    if judged < step.min_samples:
        lacking.append(f"{step.min_samples - judged} requests more per arm")
    if step.gate == "person":
        lacking.append("a person: promote")
    if step.gate == "judge" and seen.verdict != "pass":
        lacking.append(f"the judge: {seen.why or 'undecided'}")
    return lacking


def _after_step(release: Release, now: float) -> Release:
    if release.step + 1 < len(release.plan.steps):
        return _begin_step(release, release.step + 1, now)
    if release.plan.promotion == "confirmed":
        return begin_phase(release, "confirming", now)
    return with_history(
        begin_phase(release, "switching", now), now, CONTROLLER, "every step is through: all the traffic"
    )


def _confirm(release: Release, seen: Observation) -> Release:
    if seen.verdict == "fail":
        return begin_restoring(release, seen.now, CONTROLLER, seen.why)
    return waiting_for(release, "a person: promote")


def _switch(release: Release, seen: Observation) -> Release:
    if not challenger_stands(release, seen):
        return _waiting_for_challenger(release, seen)
    if not _followed(release, seen):
        return _waiting_for_gateway(release, seen, "every gateway replica to follow 100%")
    return begin_phase(release, "settling", seen.now)


def _settle(release: Release, seen: Observation) -> Release:
    left = release.plan.scale_down_delay - (seen.now - release.since)
    if release.champion is not None and left > 0:
        return waiting_for(release, f"{left:.0f} s in which the way back is instant")
    if release.paused:
        return waiting_for(release, "resume: it is paused")
    noted = with_notes(
        begin_phase(release, "committing", seen.now),
        Note(kind="tag", name=RESULT_TAG, version=release.challenger, value=f"promoted by {release.id}"),
        Note(kind="alias", name=CHALLENGER_ALIAS, version=None, value=release.challenger),
        Note(kind="alias", name=CHAMPION_ALIAS, version=release.challenger),
    )
    return noted.model_copy(update={"given_alias": True})


def _commit(release: Release, seen: Observation) -> Release:
    if release.outbox:
        what = f"the registry to take {len(release.outbox)} notes"
        return waiting_for(release, what, _why(seen, ("registry", "")))
    return begin_phase(release, "retiring", seen.now)


def _retire(release: Release, seen: Observation) -> Release:
    if not (_followed(release, seen) and not seen.announced):
        return _waiting_for_gateway(release, seen, "every gateway replica to forget the release")
    if release.champion is not None and _is_there(release.champion, seen):
        return _waiting_for_deletion(release, seen, release.champion)
    outcome = f"version {release.challenger} is champion"
    if not moved_inline(release, seen):
        if seen.now - release.since < INLINE_WAIT_S:
            what = f"every gateway replica to load version {release.challenger}"
            return waiting_for(release, what, _why(seen, ("move_inline", release.challenger)))
        outcome += (
            f"; it keeps replicas of its own: not every gateway replica has loaded it within {INLINE_WAIT_S:g} s"
        )
    elif release.inline:
        outcome += ", in the gateway replicas themselves"
    ended = begin_phase(release, "promoted", seen.now).model_copy(update={"ended": seen.now})
    return with_history(ended, seen.now, CONTROLLER, outcome)


def _restore(release: Release, seen: Observation) -> Release:
    if not (seen.followed and same_weights(weights_before(release), seen.weights)):
        if champion_stands(release, seen):
            return _waiting_for_gateway(release, seen, "the gateway replicas")
        champion = release.champion or ""
        why = _why(seen, ("deploy", champion), ("replicas", champion))
        return waiting_for(release, f"replicas of version {champion}", why)
    assert release.ending is not None
    outcome = f"{release.ending.replace('_', ' ')} by {release.id}: {release.reason}"
    notes = [
        Note(kind="tag", name=RESULT_TAG, version=release.challenger, value=outcome[:_TAG_LENGTH]),
        Note(kind="alias", name=CHALLENGER_ALIAS, version=None, value=release.challenger),
    ]
    if release.given_alias:
        # of a first version: to nothing, if it points to that
        value = "" if release.champion is not None else release.challenger
        notes.append(Note(kind="alias", name=CHAMPION_ALIAS, version=release.champion, value=value))
    followed = "every gateway replica follows the weights of the start"
    return with_notes(
        with_history(begin_phase(release, "removing", seen.now), seen.now, CONTROLLER, followed), *notes
    )


def _remove(release: Release, seen: Observation) -> Release:
    if not (_followed(release, seen) and not seen.announced):
        return _waiting_for_gateway(release, seen, "every gateway replica to forget the release")
    if release.challenger not in release.before and _is_there(release.challenger, seen):
        return _waiting_for_deletion(release, seen, release.challenger)
    if release.outbox:
        what = f"the registry to take {len(release.outbox)} notes"
        return waiting_for(release, what, _why(seen, ("registry", "")))
    assert release.ending is not None
    ended = begin_phase(release, release.ending, seen.now).model_copy(update={"ended": seen.now})
    return with_history(ended, seen.now, CONTROLLER, f"{release.ending.replace('_', ' ')}: {release.reason}")


def _begin_step(release: Release, step: int, now: float) -> Release:
    begun = begin_phase(release, "step", now).model_copy(update={"step": step})
    weight = release.plan.steps[step].weight
    return with_history(begun, now, CONTROLLER, f"step {step}: version {release.challenger} at {weight:.0%}")


def _followed(release: Release, seen: Observation) -> bool:
    weights = target_weights(release)
    return seen.followed and weights is not None and same_weights(weights, seen.weights)


def _is_there(version: str, seen: Observation) -> bool:
    return version in seen.weights or version in seen.apps


def waiting_for(release: Release, what: str, why: str = "") -> Release:
    """The release with what it waits for, and why that is not there."""
    update = {"waiting_for": what, "waiting_because": why}
    same = (release.waiting_for, release.waiting_because) == (what, why)
    return release if same else release.model_copy(update=update)


def _waiting_for_challenger(release: Release, seen: Observation) -> Release:
    version, needed = release.challenger, of_challenger(release)
    why = _why(seen, ("deploy", version), ("replicas", version)) or f"{seen.running.get(version, 0)} of {needed} run"
    return waiting_for(release, f"{needed} replicas of version {version}", why)


def _waiting_for_gateway(release: Release, seen: Observation, what: str) -> Release:
    """A wait for the gateway replicas, which follow only weights that were written."""
    return waiting_for(release, what, _why(seen, ("weights", ""), ("follow", "")))


def _waiting_for_deletion(release: Release, seen: Observation, version: str) -> Release:
    return waiting_for(release, f"version {version} to be drained and deleted", _why(seen, ("take_down", version)))


def _why(seen: Observation, *works: tuple[Work, str]) -> str:
    """The last error of the first work that failed, in a sentence; empty where none did."""
    failed = next((work for work in works if work in seen.errors), None)
    return "" if failed is None else f"{_FAILED[failed[0]].format(failed[1])}: {seen.errors[failed]}"


def with_notes(release: Release, *notes: Note) -> Release:
    numbered = tuple(
        note.model_copy(update={"number": release.notes + index}) for index, note in enumerate(notes, start=1)
    )
    return release.model_copy(update={"outbox": (*release.outbox, *numbered), "notes": release.notes + len(numbered)})
