"""What ends the main job early."""

from __future__ import annotations


class StepError(RuntimeError):
    """A step of the main job failed; the message says what to look at."""
