"""Restart decision of a run whose worker group was lost. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Loss:
    """A worker group that ended before its time.

    Attributes:
        died: a worker process died or could not be reached; else its code raised.
        step: the last step that is known to have been made, -1 for none.
        reason: one line.
    """

    died: bool
    step: int
    reason: str


def gives_up(losses: Sequence[Loss], max_failures: int) -> str | None:
    """Returns the reason against a further try; None when there is one.

    Processes die for reasons that pass. Code that raises does so again: it gets a second try, and no third if that
    came no further.
    """
    last = losses[-1]
    if len(losses) > max_failures:
        return f"{len(losses)} failures, {max_failures} are allowed (TIDEGATE_TRAINING_MAX_FAILURES): {last.reason}"
    if not last.died and len(losses) > 1 and not losses[-2].died and last.step <= losses[-2].step:
        return f"raised twice at the same place: {last.reason}"
    return None
