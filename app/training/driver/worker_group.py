"""One worker group of a run: a Ray Train run of a fixed size, watched from a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray.train
from fsspec.core import url_to_fs
from pyarrow.fs import FSSpecHandler, PyFileSystem
from ray.exceptions import RayError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.config import FailureConfig, RunConfig
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from app.ray_internals import is_lost_worker
from app.training.config.parallel_dims import ParallelDims
from app.training.driver.job import Job, train_worker

PLACEMENT_TRY_S = 30.0
"""Seconds that Ray Train waits for room before it counts a failure to start the workers."""

_TRAIN_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # to notice a lost worker soon
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # draining nodes are this engine's business
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(PLACEMENT_TRY_S),
}


@dataclass(frozen=True, slots=True)
class Failed:
    """The group was lost. ``died``: a process was, rather than code raising; ``started``: it had been."""

    died: bool
    started: bool
    reason: str


class WorkerGroup:
    """A worker group, which starts at once.

    Args:
        node_labels: of the nodes that the workers may run on.
        name: of the Ray Train run.
        patience_s: seconds that there may be no room for it.
    """

    def __init__(
        self,
        job: Job,
        layout: ParallelDims,
        use_gpu: bool,
        node_labels: Mapping[str, str],
        name: str,
        patience_s: float,
    ) -> None:
        for variable, value in _TRAIN_ENVIRONMENT.items():
            os.environ.setdefault(variable, value)
        path, filesystem = _storage(f"{job.folder.url}/ray-train")
        self._trainer: Any = TorchTrainer(
            train_worker,
            train_loop_config={"job": job, "layout": layout},
            torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
            scaling_config=ray.train.ScalingConfig(  # type: ignore[call-arg] # annotated with the class of Train v1
                num_workers=layout.workers,
                use_gpu=use_gpu,
                resources_per_worker=resources(use_gpu),
                label_selector=dict(node_labels) or None,
            ),
            run_config=RunConfig(  # type: ignore[arg-type] # as above
                name=name,
                storage_path=path,
                storage_filesystem=filesystem,
                failure_config=FailureConfig(
                    max_failures=0, controller_failure_limit=max(0, round(patience_s / PLACEMENT_TRY_S) - 1)
                ),
                worker_runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}},
            ),
        )
        self._failed: Failed | None = None
        # Not the main thread: Ray Train would take its Ctrl-C.
        self._thread = threading.Thread(target=self._fit, name="worker-group", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Waits at most ``timeout_s`` seconds; returns True where the group has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def failed(self) -> Failed | None:
        """Returns the reason of a loss; None for a group that ended by itself."""
        return self._failed

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except WorkerGroupError as error:
            # A rank that lost its peer raises too; what it says names the connection, not what happened.
            causes = [cause for cause in error.worker_failures.values() if not _lost_peer(cause)]
            died = [cause for cause in causes if is_lost_worker(cause)]
            if causes:
                reason = _line((died or causes)[0])
            else:
                lost = _line(next(iter(error.worker_failures.values()), error))
                reason = f"workers lost the connection to another ({lost[:160]})"
            self._failed = Failed(bool(died) or not causes, started=True, reason=reason)
        except ControllerError as error:
            self._failed = Failed(died=False, started=False, reason=_line(error.controller_failure))
        except Exception as error:
            self._failed = Failed(died=isinstance(error, RayError), started=True, reason=_line(error))


def resources(use_gpu: bool) -> dict[str, float]:
    """Resources of one worker."""
    return {"CPU": 1, "GPU": 1} if use_gpu else {"CPU": 1}


def _storage(url: str) -> tuple[str, Any]:
    """Path and file system of Ray Train's own records: it opens by itself only what pyarrow knows."""
    if "://" not in url:
        return url, None
    filesystem, path = url_to_fs(url)
    return path, PyFileSystem(FSSpecHandler(filesystem))


def _lost_peer(cause: Exception) -> bool:
    text = str(cause)
    return any(name in text for name in ("gloo/transport", "DistBackendError", "DistNetworkError", "NCCL"))


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
