"""The proof of the training engine: whatever the layout, the loss curve is that of one process."""

from jobs.bench.layouts.command import main

__all__ = ["main"]
