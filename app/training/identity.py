"""Which run a submission belongs to: the same configuration on the same data goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from app.training.config import TrainConfig
from app.training.monitor import start_monitor
from app.training.store import RunFolder

TAKEN_TIMEOUT_S = 20.0
"""How long the monitor of a driver that was just killed may take to disappear."""

_FREE = {"workers", "device", "checkpoint_every", "keep_checkpoints", "keep_best", "profile"}
"""What may change from one submission of a run to the next."""


class RunTakenError(RuntimeError):
    """The same run is going on already on this cluster."""


def digest(config: TrainConfig, fingerprint: str) -> str:
    """SHA-256 over what decides the result, hex. The layout does not: every layout follows the same curve; the
    precision does."""
    told = config.model_dump(mode="json", exclude=_FREE)
    told["layout"] = {"precision": config.layout.precision}
    return hashlib.sha256(json.dumps([told, fingerprint], sort_keys=True).encode()).hexdigest()


def folder_of(config: TrainConfig, told: str, storage: str) -> RunFolder:
    """The run's folder below ``storage``, a local folder or an fsspec address."""
    root = storage if "://" in storage else str(Path(storage).resolve())
    return RunFolder(f"{root.rstrip('/')}/{config.model}-{told[:12]}")


def take(folder: RunFolder) -> Any:
    """The run's monitor actor, of which there is one: who has it has the run.

    Raises:
        RunTakenError: another driver has it, and keeps it.
    """
    name = folder.url.rsplit("/", 1)[-1]
    deadline = time.monotonic() + TAKEN_TIMEOUT_S
    while True:
        try:
            return start_monitor(name)
        except ValueError:
            if time.monotonic() > deadline:
                raise RunTakenError(
                    f"the run {name} is going on already on this cluster: follow or stop that job, or change the "
                    "configuration (another seed makes it another run)"
                ) from None
            time.sleep(0.5)
