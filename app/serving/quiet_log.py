"""Serve's log without a line per request, which would cost more than the split does: each prediction is an event."""

from __future__ import annotations

from ray.serve.schema import LoggingConfig

QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)
"""For the gateway and for versions. Warnings and errors are written as ever."""
