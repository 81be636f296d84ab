"""What ends the benchmark without figures."""

from __future__ import annotations

from app.errors import TidegateError


class BenchError(TidegateError):
    """A server, or a reader, does not start, does not answer in time, or reads other values than were written."""
