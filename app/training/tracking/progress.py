"""Progress that a run's driver shows and logs: lines, metrics in MLflow, times of recovery."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray

from app.training.config.parallel_dims import Precision
from app.training.config.schedule import BatchPlan
from app.training.tracking.gauges import Gauges
from app.training.tracking.metric_log import MetricLog
from app.training.tracking.utilisation import utilisation
from app.training.worker.protocol import Heartbeat, Report, Saved, Started, StepReport

PLACEMENT_WORD_S = 30.0
"""Seconds between words about workers that cannot be placed."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Unit:
    """Unit of speed.

    Attributes:
        per_row: of ``name`` in each row of the data.
        flops: operations of the model for a row, forward and backward; None: not known.
        precision: that they are made in.
    """

    name: str = "rows"
    per_row: int = 1
    flops: float | None = None
    precision: Precision = "float32"


@dataclass(frozen=True, slots=True)
class Recovery:
    """Recovery of a run after a loss.

    Attributes:
        seconds: from the last sign of the lost group to the first step of the next.
        repeated: steps that had to be made again.
    """

    seconds: float
    repeated: int


class RunProgress:
    """Drains the monitor when it is polled, once a second.

    Args:
        began_at: when the run began, as ``time.monotonic`` tells it.
        say: takes a line that stays; show: takes the line of the moment.
    """

    def __init__(
        self,
        monitor: Any,
        metrics: MetricLog,
        plan: BatchPlan,
        unit: Unit,
        gauges: Gauges,
        began_at: float,
        say: Say,
        show: Say,
    ) -> None:
        self.say = say
        self.restarts = 0
        self.recoveries: list[Recovery] = []
        self.nodes: tuple[str, ...] = ()
        self.step = -1
        self.startup_s: float | None = None
        self.running = False
        self._monitor, self._metrics = monitor, metrics
        self._plan, self._unit, self._gauges, self._show = plan, unit, gauges, show
        self._dropped, self._again = 0, False
        self._began_at, self._begun_at = began_at, time.monotonic()
        self._next_word_s = PLACEMENT_WORD_S
        self._first_at = self._last_at = self._sign_at = time.monotonic()
        self._lost: tuple[float, int] | None = None
        self._group: Started | None = None

    @property
    def train_seconds(self) -> float:
        """Seconds from the first worker group's start to the last step seen."""
        return self._last_at - self._first_at

    def group_begins(self) -> None:
        """A worker group is asked for."""
        self._begun_at, self._next_word_s = time.monotonic(), PLACEMENT_WORD_S

    def group_left(self) -> None:
        """The worker group ended by itself."""
        self.nodes, self.running = (), False

    def group_lost(self, reason: str) -> None:
        """The worker group is gone before its time."""
        self.group_left()
        self._lost = self._sign_at, self.step
        self.say(f"the worker group was lost after step {self.step + 1}: {reason}")

    def poll(self) -> None:
        """Takes the workers' reports, shows and logs them. A failure here never ends a run."""
        try:
            reports, dropped = ray.get(self._monitor.drain.remote(), timeout=10)
            self._take(reports, dropped)
            self._word_of_waiting()
        except Exception as error:
            self.say(f"progress is not available: {error}")

    def _word_of_waiting(self) -> None:
        waited = time.monotonic() - self._begun_at
        if self.running or waited < self._next_word_s:
            return
        self._next_word_s += PLACEMENT_WORD_S
        free = ray.available_resources()  # type: ignore[no-untyped-call]
        room = ", ".join(f"{free.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
        self.say(f"waiting for the workers to be placed and to start ({waited:.0f} s); free on the cluster: {room}")

    def _take(self, reports: list[Report], dropped: int) -> None:
        if dropped > self._dropped:
            self.say(f"{dropped - self._dropped} reports of progress were dropped")
            self._dropped = dropped
        steps, saved = [], []
        for report in reports:
            self._sign_at = time.monotonic()
            if isinstance(report, Started):
                self._group_started(report)
            elif isinstance(report, Saved):
                saved.append(report)
            elif isinstance(report, Heartbeat):
                self._stepped(report.step)
            else:
                self._stepped(report.step)
                steps.append(report)
        if steps:
            self._last_at = time.monotonic()
            self._show(self._line(steps[-1]))
        if steps or saved:
            self._expose(steps, saved)
            self._log(steps, saved)

    def _group_started(self, report: Started) -> None:
        self.nodes, self.running, self._group = report.nodes, True, report
        again, self._again = self._again, True
        self.restarts += self._lost is not None
        self._gauges.set({"workers": report.workers, "restarts": self.restarts})
        what = "training"
        if self._lost is not None:
            what = f"a worker was lost; going on from step {report.step}"
        elif again or report.step:
            what = f"going on from step {report.step}"
        pids = ", ".join(map(str, report.pids))
        device = report.device_name or report.device
        self.say(f"{what} with {report.workers} workers on {device} ({report.layout}; pids {pids})")

    def _stepped(self, step: int) -> None:
        if self.startup_s is None:
            self._first_at = time.monotonic()
            self.startup_s = self._first_at - self._began_at
        if self._lost is not None:
            sign_at, furthest = self._lost
            self._lost = None
            recovery = Recovery(time.monotonic() - sign_at, max(0, furthest + 1 - step))
            self.recoveries.append(recovery)
            self.say(
                f"first step {recovery.seconds:.1f} s after the last sign of the lost group; "
                f"{recovery.repeated} steps are made again"
            )
        self.step = step

    def _utilisation(self, report: StepReport) -> float | None:
        """Share of the devices' peak; None where that is not known."""
        if self._group is None or self._unit.flops is None:
            return None
        flops_per_s = report.rows_per_s * self._unit.flops
        return utilisation(flops_per_s, self._group.device_name, self._unit.precision, self._group.workers)

    def _line(self, report: StepReport) -> str:
        plan, done = self._plan, report.step + 1
        left = (plan.steps - done) * plan.batch_size / max(report.rows_per_s, 1e-9)
        speed = report.rows_per_s * self._unit.per_row
        stall = f"  checkpoint stall {report.stall_s * 1000:.0f} ms" if report.stall_s else ""
        share = self._utilisation(report)
        used = "" if share is None else f"  MFU {share:.1%}"
        return (
            f"step {done}/{plan.steps}  epoch {plan.epoch_of(report.step) + 1}/{plan.epochs}  "
            f"loss {report.loss:.4f}  {speed:,.0f} {self._unit.name}/s{used}{stall}  {left:.0f} s left"
        )

    def _expose(self, steps: list[StepReport], saved: list[Saved]) -> None:
        if steps:
            newest = steps[-1]
            self._gauges.set(
                {
                    "step": newest.step + 1,
                    "loss": newest.loss,
                    "learning_rate": newest.learning_rate,
                    "gradient_norm": newest.gradient_norm,
                    "tokens_per_second": newest.rows_per_s * self._unit.per_row,
                }
            )
            share = self._utilisation(newest)
            if share is not None:
                self._gauges.set({"flops_utilisation": share})
        if saved:
            self._gauges.set(
                {"checkpoint_stall_seconds": saved[-1].stall_s, "checkpoint_write_seconds": saved[-1].write_s}
            )

    def _log(self, steps: list[StepReport], saved: list[Saved]) -> None:
        self._metrics.add(
            (name, value, report.step)
            for report in steps
            for name, value in (
                ("train.loss", report.loss),
                ("train.learning_rate", report.learning_rate),
                ("train.gradient_norm", report.gradient_norm),
                (f"train.{self._unit.name}_per_s", report.rows_per_s * self._unit.per_row),
            )
        )
        self._metrics.add(
            (f"checkpoint.{name}", value, report.step)
            for report in saved
            for name, value in (("stall_s", report.stall_s), ("write_s", report.write_s))
        )
