"""What the engine costs: under Ray Train, beside a loop written by hand, and while it saves."""

from jobs.bench.training.command import main

__all__ = ["main"]
