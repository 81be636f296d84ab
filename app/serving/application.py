"""A version as a Serve application: it loads the version, warms it, and answers with it."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor

from ray import serve

from app.errors import TidegateError
from app.registry import RegistryError, connect, load
from app.serving.autoscaling import ONGOING, Demand
from app.serving.batch import DEPLOYMENT, Batch, BatchReply, VersionMetadata, metadata_of
from app.serving.scorer import Scorer
from app.settings import ServingSettings, get_settings

log = logging.getLogger(__name__)


class ModelStuckError(TidegateError):
    """The model's code has not come back for too long; Serve replaces the replica."""


class VersionReplica:
    """One replica of one version. Serve counts it as healthy once ``__init__`` has returned: loaded and warm.

    The model's code runs in a thread of its own, so that health checks and read-backs pass while it works.
    """

    def __init__(self, model: str, version: str, settings: ServingSettings) -> None:
        try:
            self._scorer = Scorer(load(connect(get_settings().mlflow), model, version))
        except RegistryError as error:
            raise RuntimeError(str(error)) from error  # a plain class: whoever deploys must be able to unpickle it
        self._metadata = metadata_of(self._scorer.spec, settings)
        self._target_ongoing = settings.target_ongoing_requests
        self._stuck_after_s = settings.stuck_after_s
        self._busy_since: float | None = None
        self._demand = Demand()
        self._replica = serve.get_replica_context().replica_id.unique_id
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        warmed = self._scorer.warmed_s
        shown = "no input example: not warmed" if warmed is None else f"warmed in {warmed * 1e3:.1f} ms"
        log.info("%s version %s loaded; %s", model, version, shown)

    async def infer(self, batch: Batch) -> BatchReply:
        """Scores the requests of a batch."""
        self._demand.begins(batch.caller, batch.ongoing)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, batch)
        finally:
            self._demand.ends(batch.caller, time.monotonic())

    async def metadata(self) -> VersionMetadata:
        """The version's inputs and outputs, and how it wants to be called."""
        return self._metadata

    async def reserve_capacity(self, replicas: int, seconds: float) -> None:
        """Makes Serve keep at least ``replicas`` for ``seconds``, within the version's bounds."""
        self._demand.reserve(replicas * self._target_ongoing, time.monotonic() + seconds)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Serve now and then: the figure that ``app.serving.autoscaling.policy`` decides by."""
        return {ONGOING: self._demand.ongoing(time.monotonic())}

    async def check_health(self) -> None:
        """Called by Serve now and then.

        Raises:
            ModelStuckError: one call into the model has lasted longer than ``stuck_after_s``.
        """
        since = self._busy_since
        if since is not None and time.monotonic() - since > self._stuck_after_s:
            raise ModelStuckError(f"the model has been busy with one call for {time.monotonic() - since:.0f} s")

    def _score(self, batch: Batch) -> BatchReply:
        self._busy_since = started = time.monotonic()
        try:
            whole, each = self._scorer.score(batch)
        finally:
            self._busy_since = None
        return BatchReply(whole, each, self._replica, time.monotonic() - started)


Version = serve.deployment(name=DEPLOYMENT)(VersionReplica)
