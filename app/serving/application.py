"""A version as a Serve application: it loads the version, warms it, and answers with it."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from ray import serve

from app.registry import LoadedModel, ModelSpec, RegistryError, connect, load
from app.serving.tensors import Tensors, from_model, to_model
from app.settings import get_settings

log = logging.getLogger(__name__)

DEPLOYMENT = "Version"
MESSAGE_CHARACTERS = 500


class StuckError(RuntimeError):
    """The model's code has not come back for too long; Serve replaces the replica."""


@dataclass(frozen=True, slots=True)
class ModelFailure:
    """The model's own code raised. A value, not an exception: what crosses the handle then does not depend on how
    Serve carries exceptions, nor on whether the caller can import the exception's class."""

    kind: str
    message: str


class Scorer:
    """A loaded version, ready to score. Blocking; one thread at a time per replica.

    Attributes:
        warmed_s: seconds that scoring the input example took; None for a version that was logged without one.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.spec = loaded.spec
        self.warmed_s: float | None = None
        self._pyfunc = loaded.pyfunc
        if loaded.example is not None:
            started = time.perf_counter()
            from_model(self.spec, self._pyfunc.predict(loaded.example))
            self.warmed_s = time.perf_counter() - started
        # The gateway has checked and converted every request by this same signature; MLflow's own check would cost
        # more than a small model (3.4 of 5.9 CPU-ms for the 89 columns of flights).
        self._pyfunc.metadata.signature = None

    def score(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Outputs for ``inputs``, arrays of the same number of rows."""
        return from_model(self.spec, self._pyfunc.predict(to_model(self.spec, inputs)))


class VersionReplica:
    """One replica of one version. Serve counts it as healthy once ``__init__`` has returned: loaded and warm.

    The model's code runs in a thread of its own, so that health checks and read-backs pass while it works.
    """

    def __init__(self, model: str, version: str, stuck_after_s: float) -> None:
        try:
            self._scorer = Scorer(load(connect(get_settings().mlflow), model, version))
        except RegistryError as error:
            raise RuntimeError(str(error)) from error  # a plain class: whoever deploys must be able to unpickle it
        self._stuck_after_s = stuck_after_s
        self._busy_since: float | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        warmed = self._scorer.warmed_s
        shown = "no input example: not warmed" if warmed is None else f"warmed in {warmed * 1e3:.1f} ms"
        log.info("%s version %s loaded; %s", model, version, shown)

    async def infer(self, inputs: Tensors) -> dict[str, NDArray[Any]] | ModelFailure:
        """Score named arrays."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, inputs)

    async def describe(self) -> ModelSpec:
        """What this version takes and gives."""
        return self._scorer.spec

    async def check_health(self) -> None:
        """Called by Serve now and then.

        Raises:
            StuckError: one call into the model has lasted longer than ``stuck_after_s``.
        """
        since = self._busy_since
        if since is not None and time.monotonic() - since > self._stuck_after_s:
            raise StuckError(f"the model has been busy with one call for {time.monotonic() - since:.0f} s")

    def _score(self, inputs: Tensors) -> dict[str, NDArray[Any]] | ModelFailure:
        self._busy_since = time.monotonic()
        try:
            return self._scorer.score(inputs)
        except Exception as error:  # the model's code may raise anything
            log.warning("the model raised", exc_info=True)
            return ModelFailure(type(error).__name__, str(error)[:MESSAGE_CHARACTERS])
        finally:
            self._busy_since = None


Version = serve.deployment(name=DEPLOYMENT)(VersionReplica)
