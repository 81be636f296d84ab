"""The identity of a run: the same configuration on the same data goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from app.training.config.train_config import ConfigError, TrainConfig
from app.training.storage.run_folder import RunFolder

_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray for the driver of a submitted job."""
_FREE = {
    *("workers", "device", "device_memory_gib", "checkpoint_every", "keep_checkpoints", "keep_best", "profile"),
    *("layout", "parameter_server"),
}
"""Fields that may change from one submission of a run to the next; of the groups, some are added again below."""


def digest(config: TrainConfig, fingerprint: str) -> str:
    """SHA-256 over the fields that decide the result, hex. The layout does not (but for dropout's masks), its
    precision does; parameter servers go on with as many workers and servers as there were.

    Args:
        fingerprint: of the data.
    """
    values = config.model_dump(mode="json", exclude=_FREE)
    if config.optimizer == "adamw":
        del values["optimizer"]  # runs that were begun before there was a choice keep their identity
    values["precision"] = config.layout.precision
    if config.strategy == "parameter_server":
        values["servers"] = config.parameter_server.model_dump(mode="json", exclude={"deadline_s"})
        values["workers"] = config.workers
    return hashlib.sha256(json.dumps([values, fingerprint], sort_keys=True).encode()).hexdigest()


def folder_of(config: TrainConfig, identity: str, storage: str) -> RunFolder:
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
    return RunFolder(f"{root.rstrip('/')}/{config.model}-{identity[:12]}")
