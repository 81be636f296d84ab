"""A release from its first phase to its ends, drawn from the state machine's own list of phases."""

from __future__ import annotations

from typing import get_args

from app.releases.model.release import FINAL, Phase
from jobs.pictures.drawing import Arrow, Box, Caption, Drawing

FORWARD: dict[Phase, tuple[str, ...]] = {
    "preparing": ("challenger deployed,", "warmed, weight 0"),
    "step": ("its share; the gate:", "time, judge, person"),
    "confirming": ("a person decides,", "if the plan says so"),
    "switching": ("all the traffic", "to the challenger"),
    "settling": ("the old champion", "stays for a while"),
    "committing": ("alias champion", "moves in MLflow"),
    "retiring": ("the old champion", "drained, deleted"),
}
"""Phases on the way forward, in their order, with what happens in each."""
BACK: dict[Phase, tuple[str, ...]] = {
    "restoring": ("the champion's capacity,", "then its traffic"),
    "removing": ("the challenger drained", "and deleted"),
}
"""Phases on the way back."""

_WIDTH, _HEIGHT, _GAP, _LEFT, _TOP = 138, 74, 18, 12, 20
_RETURNS: tuple[Phase, ...] = ("preparing", "step", "confirming", "switching", "settling")
"""Phases that a verdict, a failed deployment or a person ends by the way back."""


def draw() -> Drawing:
    """The picture.

    Raises:
        AssertionError: a phase of the state machine is not drawn, or one is drawn that it does not have.
    """
    drawn = {*FORWARD, *BACK, *FINAL}
    assert drawn == set(get_args(Phase)), (
        f"phases drawn and phases of a release differ: {drawn ^ set(get_args(Phase))}"
    )
    parts: list[Box | Arrow | Caption] = []
    pitch = _WIDTH + _GAP
    for place, (phase, notes) in enumerate(FORWARD.items()):
        x = _LEFT + place * pitch
        parts.append(Box(phase, x, _TOP, _WIDTH, _HEIGHT, notes))
        parts.append(_right(x + _WIDTH, _TOP + _HEIGHT // 2))
    last = _LEFT + len(FORWARD) * pitch
    parts.append(Box("promoted", last, _TOP, 96, _HEIGHT, (), "end"))
    rail, row = _TOP + _HEIGHT + 26, _TOP + _HEIGHT + 52
    start = _LEFT + 3 * pitch
    for place in range(len(_RETURNS)):
        x = _LEFT + place * pitch + _WIDTH // 2
        parts.append(
            Arrow(
                ((x, _TOP + _HEIGHT), (x, rail), (start + _WIDTH // 2, rail), (start + _WIDTH // 2, row)), kind="back"
            )
        )
    for place, (phase, notes) in enumerate(BACK.items()):
        x = start + place * (pitch + 22)
        parts.append(Box(phase, x, row, _WIDTH + 22, _HEIGHT, notes))
        parts.append(_right(x + _WIDTH + 22, row + _HEIGHT // 2))
    ends = start + 2 * (pitch + 22)
    parts.append(Box("rolled_back", ends, row, 112, 32, (), "end"))
    parts.append(Box("cancelled", ends, row + _HEIGHT - 32, 112, 32, (), "end"))
    for line, text in enumerate(
        ("a verdict of fail, a challenger that cannot", "be deployed, undecided at the end, a person")
    ):
        parts.append(Caption(text, _LEFT + pitch + 60, row + 32 + 18 * line))
    return Drawing(last + 96 + _LEFT, row + _HEIGHT + 14, "The phases of a release, forward and back", tuple(parts))


def _right(x: int, y: int) -> Arrow:
    return Arrow(((x, y), (x + _GAP, y)))
