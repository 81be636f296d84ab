"""The training curve as a server sees it: each step once, when every worker has contributed to it."""

from __future__ import annotations

import time

from app.training.config.schedule import BatchPlan
from app.training.worker.protocol import StepReport

REPORTS = 200
"""About so many steps of a run are reported, as in the collective engine."""


class Curve:
    """Collects workers' losses until a step is whole. Memory: one entry for each step between the slowest and the
    fastest worker that is to be reported."""

    def __init__(self, plan: BatchPlan, first: int) -> None:
        self._plan, self._interval = plan, max(1, plan.steps // REPORTS)
        self._seen: dict[int, list[tuple[float, float]]] = {}
        self._reports: list[StepReport] = []
        self._at, self._step = time.monotonic(), first

    def add(self, step: int, loss: float, norm: float) -> None:
        """One worker's part of a step: mean loss over its rows; norm of the gradient that is applied, before
        clipping."""
        if step % self._interval == 0 or step == self._plan.steps - 1:
            self._seen.setdefault(step, []).append((loss, norm))

    def finish(self, step: int, learning_rate: float) -> None:
        """Closes ``step``, to which every worker has contributed. Losses and norms are averaged over the workers."""
        parts = self._seen.pop(step, [])
        if not parts:  # not a reported step, or one whose parts went down with another server
            return
        loss, norm = (sum(values) / len(parts) for values in zip(*parts, strict=True))
        now, rows = time.monotonic(), (step + 1 - self._step) * self._plan.batch_size
        self._reports.append(StepReport(step, loss, learning_rate, norm, rows / max(now - self._at, 1e-9)))
        self._at, self._step = now, step + 1

    def drain(self) -> list[StepReport]:
        """Returns the reports that became complete since the last call."""
        found, self._reports = self._reports, []
        return found
