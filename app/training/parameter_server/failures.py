"""Failures of a run with parameter servers."""

from __future__ import annotations

from ray.exceptions import RayTaskError

from app.errors import TidegateError


class ParameterServerError(TidegateError):
    """The run cannot go on; the message says why."""


def reason(error: BaseException) -> str:
    """The innermost cause of what Ray raised, in a line and without the traces around it."""
    while isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        error = error.cause
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else ""
    return first if isinstance(error, ParameterServerError) else f"{type(error).__name__}: {first}"
