"""What a person may tell a release. Pure."""

from __future__ import annotations

from app.errors import FailedPreconditionError
from app.releases.lifecycle.phases import begin_phase, begin_restoring, with_history
from app.releases.model.release import LEAVING, Ending, Release


class OrderRefusedError(FailedPreconditionError):
    """A command that the release cannot take where it is."""


def order(release: Release, verb: str, who: str, now: float, full: bool = False, step: int | None = None) -> Release:
    """A person's command. Given twice it does what it does given once; a ``promote`` that names no step opens the
    gate that is present when it comes.

    Args:
        verb: ``pause``, ``resume``, ``promote`` (opens the present gate; ``full``: skips every later one),
            ``rollback`` or ``cancel``.
        step: of ``promote``: the step whose gate is meant, from 0; once it is open, nothing more happens.

    Raises:
        OrderRefusedError: the release cannot take it where it is.
    """
    if verb in ("rollback", "cancel"):
        return _order_back(release, "rolled_back" if verb == "rollback" else "cancelled", who, now)
    if release.is_final or release.phase in LEAVING:
        raise OrderRefusedError(f"release {release.id} is {_where(release)}; it takes no {verb}")
    if verb in ("pause", "resume"):
        paused = verb == "pause"
        if release.paused == paused:
            return release
        return with_history(
            release.model_copy(update={"paused": paused}), now, who, "paused" if paused else "resumed"
        )
    if verb != "promote":
        raise OrderRefusedError(f"{verb!r}: accepted are pause, resume, promote, rollback and cancel")
    if step is not None and _is_past(release, step):
        return release
    if release.phase not in ("step", "confirming"):
        raise OrderRefusedError(f"release {release.id} is {_where(release)}; promote opens the gate of a step")
    if step is not None and step != release.step:
        raise OrderRefusedError(
            f"release {release.id} is at step {release.step}; the gate of step {step} comes later"
        )
    if full or release.phase == "confirming":
        begun = begin_phase(release, "switching", now).model_copy(update={"paused": False})
        return with_history(begun, now, who, "promoted: all the traffic moves")
    if release.approved:
        return release
    return with_history(
        release.model_copy(update={"approved": True, "paused": False}),
        now,
        who,
        f"gate of step {release.step} opened",
    )


def _is_past(release: Release, step: int) -> bool:
    return release.phase not in ("preparing", "step") or release.step > step


def _order_back(release: Release, ending: Ending, who: str, now: float) -> Release:
    if release.phase in ("retiring", "promoted"):
        raise OrderRefusedError(
            f"release {release.id} is {_where(release)}: version {release.challenger} is champion; "
            f"release version {release.champion} to go back to it"
        )
    if release.is_final or release.phase in LEAVING:
        return release
    return begin_restoring(release, now, who, "ordered", ending)


def _where(release: Release) -> str:
    return f"in the phase {release.phase}" if not release.is_final else release.phase.replace("_", " ")
