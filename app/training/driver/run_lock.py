"""Which run a submission belongs to: the same configuration on the same data goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from app.errors import FailedPreconditionError
from app.training.config.train_config import ConfigError, TrainConfig
from app.training.driver.monitor import start_monitor
from app.training.storage.run_folder import RunFolder

_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray for the driver of a submitted job."""
TAKEN_TIMEOUT_S = 20.0
"""How long the monitor of a driver that was just killed may take to disappear."""

_FREE = {
    *("workers", "device", "device_memory_gib", "checkpoint_every", "keep_checkpoints", "keep_best", "profile"),
    *("layout", "parameter_server"),
}
"""What may change from one submission of a run to the next; of the groups, what is added again below."""


class RunTakenError(FailedPreconditionError):
    """The same run is going on already on this cluster."""


def digest(config: TrainConfig, fingerprint: str) -> str:
    """SHA-256 over what decides the result, hex. The layout does not (but for dropout's masks), its precision does;
    parameter servers go on with as many workers and servers as there were."""
    told = config.model_dump(mode="json", exclude=_FREE)
    told["precision"] = config.layout.precision
    if config.strategy == "parameter_server":
        told["servers"] = config.parameter_server.model_dump(mode="json", exclude={"deadline_s"})
        told["workers"] = config.workers
    return hashlib.sha256(json.dumps([told, fingerprint], sort_keys=True).encode()).hexdigest()


def folder_of(config: TrainConfig, told: str, storage: str) -> RunFolder:
    """The run's folder below ``storage``, a local folder or an fsspec address.

    Raises:
        ConfigError: a relative folder in a submitted job, whose working directory is a copy that does not last.
    """
    if "://" not in storage and not Path(storage).is_absolute() and _JOB in os.environ:
        raise ConfigError(
            f"TIDEGATE_TRAINING_STORAGE = {storage!r}: a submitted job runs in a copy of the working directory; "
            "accepted is an absolute path, or an address such as s3://bucket/runs"
        )
    root = storage if "://" in storage else str(Path(storage).resolve())
    return RunFolder(f"{root.rstrip('/')}/{config.model}-{told[:12]}")


def acquire_run(folder: RunFolder) -> Any:
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
