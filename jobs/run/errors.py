"""What ends the main job early."""

from __future__ import annotations

from app.errors import TidegateError


class StepError(TidegateError):
    """A step of the main job failed; the message says what to look at."""
