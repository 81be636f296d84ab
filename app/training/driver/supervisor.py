"""A run over all its worker groups: starts one, watches it, goes on with another after a loss or for a new size.

Ray Train runs each group. How many workers the next one has, and whether there is one, is decided here, where it is
known which layouts the run allows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import ray
from ray.exceptions import RayError

from app.errors import TidegateError
from app.ray_internals import draining_nodes
from app.settings import TrainingSettings
from app.training.config.parallel_dims import ParallelDims
from app.training.config.world_sizes import largest
from app.training.driver.job import Job
from app.training.driver.nodes import room
from app.training.driver.restarts import Loss, gives_up
from app.training.driver.worker_group import Failed, WorkerGroup, resources
from app.training.tracking.progress import RunProgress
from app.training.worker.protocol import WorkerCommand

WATCH_EVERY_S = 0.25
LOOK_EVERY_S = 1.0
"""Seconds between looks at the progress and at the cluster."""
SETTLE_S = 2.0
"""Seconds that there must have been room for a smaller size only: a lost group's room comes back late."""
GROW_AFTER_S = 5.0
"""Seconds that there must have been room for a larger size before a running group makes way for it."""


RESIZE_AFTER_S = 30.0
"""Seconds that Ray Train may try to place a group that could have another size."""


class TrainingError(TidegateError):
    """The run did not end with a registered version; the message says at what it ended."""


class StoppedError(TidegateError):
    """The run was asked to stop, and did so behind a checkpoint.

    Attributes:
        step: where the next submission of the same run goes on.
    """

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: not done, try again
    temporary = True

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped; the next submission of this run goes on from step {step}")
        self.step = step


class Supervisor:
    """Runs a job to its last step, over as many worker groups as that takes.

    Args:
        layouts: by number of workers (``world_sizes.layouts``).
        stop: set to stop the run.
    """

    def __init__(
        self,
        job: Job,
        steps: int,
        layouts: Mapping[int, ParallelDims],
        use_gpu: bool,
        settings: TrainingSettings,
        progress: RunProgress,
        stop: threading.Event,
    ) -> None:
        self._job, self._steps, self._layouts = job, steps, layouts
        self._use_gpu, self._settings = use_gpu, settings
        self._progress, self._stop = progress, stop
        self._groups = 0
        self._losses: list[Loss] = []
        self._more_since: float | None = None
        self._waiting_since: float | None = None

    def run(self) -> None:
        """Blocks until the run's last checkpoint is complete.

        Raises:
            StoppedError: ``stop`` was set.
            TrainingError: the run is lost for good.
        """
        while not self._done():
            layout = self._layouts[self._choose()]
            if self._stop.is_set():
                raise StoppedError(self._resume_step())
            cut_off = self._job.folder.discard_incomplete()
            if cut_off:
                self._progress.say(f"a checkpoint at step {cut_off[-1]} was cut off while it was written; not used")
            self._run_group(layout)

    def _done(self) -> bool:
        return self._resume_step() >= self._steps

    def _resume_step(self) -> int:
        newest = self._job.folder.newest()
        return newest.step if newest else 0

    def _choose(self) -> int:
        """Size of the next group: the largest that there is room for. A run of one size, or one without room for
        its smallest, leaves the waiting to Ray Train, whose request the autoscaler hears."""
        if len(self._layouts) == 1:
            return max(self._layouts)
        seen, since = None, time.monotonic()
        while not self._stop.wait(WATCH_EVERY_S):
            fits = largest(self._layouts, self._room())
            if fits == max(self._layouts):
                return fits
            if fits != seen:
                seen, since = fits, time.monotonic()
            if time.monotonic() - since > SETTLE_S:
                break
        return seen or min(self._layouts)

    def _run_group(self, layout: ParallelDims) -> None:
        self._groups += 1
        self._more_since = None
        self._command(WorkerCommand.NONE)
        name = f"{self._job.folder.url.rsplit('/', 1)[-1]}-{time.strftime('%Y%m%d-%H%M%S')}-{self._groups}"
        self._progress.group_begins()
        labels = self._settings.node_labels
        group = WorkerGroup(self._job, layout, self._use_gpu, labels, name, self._patience_s())
        self._watch(group, layout)
        self._progress.poll()
        failed = group.failed()
        if failed is None:
            self._progress.group_left()
        elif failed.started:
            self._lost(failed)
        else:
            self._not_started(failed)

    def _watch(self, group: WorkerGroup, layout: ParallelDims) -> None:
        """Waits until the group has ended; asks it to leave when there is a reason."""
        asked = False
        stopping_since: float | None = None
        looked_at = 0.0
        while not group.wait(WATCH_EVERY_S):
            now = time.monotonic()
            if self._stop.is_set():
                stopping_since = stopping_since or now
                if not self._progress.running:  # no worker yet that could leave
                    self._command(WorkerCommand.LEAVE)
                    raise StoppedError(self._resume_step())
                if now - stopping_since > self._settings.stop_timeout_s:
                    raise TrainingError(
                        f"the workers did not leave within {self._settings.stop_timeout_s:.0f} s; the last "
                        f"checkpoint is at step {self._resume_step()}"
                    )
            reason = None if asked else self._reason_to_leave(layout, now - looked_at >= LOOK_EVERY_S)
            if reason:
                self._command(WorkerCommand.LEAVE)
                self._progress.say(f"{reason}: a checkpoint, then the workers leave")
                asked = True
            if now - looked_at >= LOOK_EVERY_S:
                looked_at = now
                self._progress.poll()
            if self._progress.running:
                self._waiting_since = None

    def _lost(self, failed: Failed) -> None:
        self._losses.append(Loss(failed.died, self._progress.step, failed.reason))
        self._progress.group_lost(failed.reason)
        why = gives_up(self._losses, self._settings.max_failures)
        if why is not None:
            raise TrainingError(f"training failed: {why}")

    def _not_started(self, failed: Failed) -> None:
        """A run that may have another size looks again for one that fits."""
        self._waiting_since = self._waiting_since or time.monotonic()
        waited = time.monotonic() - self._waiting_since
        if len(self._layouts) == 1 or waited > self._settings.placement_timeout_s:
            raise TrainingError(f"the workers could not be started: {failed.reason}")

    def _patience_s(self) -> float:
        """Seconds that Ray Train may try to place a group."""
        return self._settings.placement_timeout_s if len(self._layouts) == 1 else RESIZE_AFTER_S

    def _command(self, command: WorkerCommand) -> None:
        try:
            ray.get(self._job.link.actor.command.remote(command), timeout=30)
        except (RayError, TimeoutError) as error:
            raise TrainingError(f"the run's monitor does not answer: {error}") from error

    def _room(self) -> int:
        try:
            return room(resources(self._use_gpu), self._settings.node_labels)
        except Exception:  # a head that does not answer now; its loss shows elsewhere
            return 0

    def _draining(self) -> set[str]:
        try:
            return set(draining_nodes()) & set(self._progress.nodes)
        except Exception:  # as above
            return set()

    def _reason_to_leave(self, layout: ParallelDims, look: bool) -> str | None:
        """Reason for the group to leave, or None. The cluster is asked only where ``look`` is set."""
        if self._stop.is_set():
            return "asked to stop"
        if not (look and self._progress.nodes):
            return None
        going = self._draining()
        if going:
            return f"node {min(going)[:12]} is being drained"
        workers = layout.workers
        if workers == max(self._layouts):
            return None
        more = largest(self._layouts, workers + self._room())
        if more is None or more <= workers:
            self._more_since = None
            return None
        self._more_since = self._more_since or time.monotonic()
        if time.monotonic() - self._more_since < GROW_AFTER_S:
            return None
        return f"there is room for {more} workers instead of {workers}"
