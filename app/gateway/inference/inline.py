"""A version in the gateway replica itself: no hop. For light CPU models."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from app.serving.batch import Batch, BatchReply, VersionMetadata
from app.settings import Settings

if TYPE_CHECKING:
    from app.serving.scorer import Scorer


class InlineBackend:
    """One version in a thread of this process; loaded when its metadata is first asked for."""

    def __init__(self, model: str, version: str, settings: Settings) -> None:
        self._model, self._version, self._settings = model, version, settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"inline-{model}-{version}")
        self._scorer: Scorer | None = None
        self._files = TemporaryDirectory(prefix="tidegate-inline-")
        self._busy_since: float | None = None

    async def metadata(self) -> VersionMetadata:
        """See :class:`app.gateway.inference.version_backends.VersionBackend`. Loads and warms the version.

        Raises:
            RegistryError: the registry is away or does not hold the version.
        """
        self._scorer, metadata = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        return metadata

    async def send(self, batch: Batch) -> BatchReply:
        """See :class:`app.gateway.inference.version_backends.VersionBackend`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, batch)

    def calls(self) -> int:
        """The model has one thread."""
        return 1

    def busy_s(self) -> float:
        """Returns the seconds that the present call into the model has lasted."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    async def close(self) -> None:
        """Ends the thread once what it works on is through."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._scorer = None
        await asyncio.to_thread(self._files.cleanup)

    def _load(self) -> tuple[Scorer, VersionMetadata]:
        from app.serving.loading import load_scorer  # brings MLflow, which only a replica with inline models needs

        return load_scorer(self._settings, self._model, self._version, Path(self._files.name))

    def _score(self, batch: Batch) -> BatchReply:
        assert self._scorer is not None
        self._busy_since = started = time.monotonic()
        try:
            whole, each = self._scorer.score(batch)
        finally:
            self._busy_since = None
        return BatchReply(whole, each, "inline", time.monotonic() - started)
